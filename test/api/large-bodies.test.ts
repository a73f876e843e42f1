import { afterEach, beforeEach, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { type Api, platformAdmin, type SignedIn, startApi } from '../support/api.ts';
import { manyTenants } from '../support/routing.ts';

let api: Api;
let admin: SignedIn;
beforeEach(async () => {
  api = await startApi();
  admin = await platformAdmin(api);
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const TEXT = JSON.stringify(manyTenants({ tenants: 10_000, shards: 3 }));

const push = async (payload: string) => {
  const response = await api.app.inject({
    method: 'POST',
    url: '/admin/routing/revisions',
    headers: { authorization: `Bearer ${admin.accessToken}`, 'content-type': 'application/json' },
    payload,
  });
  return { status: response.statusCode, body: response.json() };
};

it('takes a body that is parsed in pieces, and shows the document in the order of its names', async () => {
  expect(TEXT.length).toBeGreaterThan(5 * LIMITS.jsonSliceMaxChars);
  expect(await push(TEXT)).toMatchObject({ status: 200, body: { revision: 1 } });
  const shown = await api.call({
    method: 'GET',
    path: '/admin/routing?include=document',
    token: admin.accessToken,
  });
  expect(shown.headers['content-type']).toBe('application/json; charset=utf-8');
  const { document, tenants, revision } = shown.body;
  expect([tenants, revision]).toEqual([10_000, 1]);
  const sent = JSON.parse(TEXT);
  for (const kind of ['aggregate', 'projection', 'runner']) {
    expect(document[`${kind}_placement`]).toEqual(sent[`${kind}_placement`]);
    const names = Object.keys(document[`${kind}_placement`]);
    expect(names).toEqual(names.toSorted());
  }
});

it('refuses one that is no JSON anywhere in it, and one that would change prototypes', async () => {
  const middle = TEXT.indexOf('"t5000":');
  const broken = [
    TEXT.slice(0, -1),
    `${TEXT}}`,
    `${TEXT.slice(0, middle)},${TEXT.slice(middle)}`,
    `${TEXT.slice(0, middle)}"__proto__":{"admin":true},${TEXT.slice(middle)}`,
    `${TEXT.slice(0, middle)}"t-x":{"constructor":{"prototype":{}}},${TEXT.slice(middle)}`,
  ];
  for (const text of broken) {
    expect(await push(text)).toMatchObject({ status: 400, body: { code: 'request_malformed' } });
  }
});
