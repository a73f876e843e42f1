import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { ask, assign, type Person, signUp } from '../../support/edge-client.ts';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { ACCEPTED, head, REFUSED, type Sender } from './http1-cases.ts';
import { PATHS, REFUSED_PATHS } from './http1-paths.ts';
import { type RawAnswer, sendRaw } from './raw-http1.ts';

/** HTTP/1.1 byte for byte: each request is one request, to the path that was decided about, or it is refused. */
const HIDDEN = '"path":"/v1/query/hidden"';
const FORGED = 'usr_forged';

let edge: GatewayWithMember;
/** Who may use the runner of acme, as the member may not. */
let boss: Person;
/** Answers to all cases, asked at once: Envoy keeps the connection of a refused one for a second. */
const answers = new Map<string, RawAnswer>();

beforeAll(async () => {
  edge = await startGatewayWithMember();
  boss = await signUp(edge.http, 'boss@example.com');
  await assign(edge.http, edge.admin, boss, 'acme', 'tenant-admin');
  await Promise.all(
    [...REFUSED, ...ACCEPTED].map(async ({ name, bytes }) => {
      if (answers.has(name)) throw new Error(`there are two cases "${name}"`);
      answers.set(name, await sendRaw(edge.http, bytes(sender())));
    }),
  );
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const sender = (person: Person = edge.member): Sender => ({
  authority: new URL(edge.http).host,
  credentials: `authorization: Bearer ${person.token}\r\nx-tenant-id: acme\r\n`,
});
const answerTo = ({ name }: { readonly name: string }): RawAnswer => {
  const answer = answers.get(name);
  if (answer === undefined) throw new Error(`"${name}" was not sent`);
  return answer;
};

/** The one response is a problem document of this status, and the gateway ended the connection behind it. */
function expectRefused({ responses, statuses, isClosed }: RawAnswer, status: number): void {
  expect([statuses, isClosed]).toEqual([[status], true]);
  const [{ head: first = '', body = '' } = {}] = responses;
  expect(first.toLowerCase()).toContain('\r\ncontent-type: application/problem+json');
  const document = JSON.parse(body) as { readonly status: number; readonly code: ErrorCode };
  expect([document.status, ERRORS[document.code].status]).toEqual([status, status]);
}

describe('a request within a request', () => {
  it.each(REFUSED)('is refused with all that is behind it: $name', (each) => {
    const answer = answerTo(each);
    expectRefused(answer, each.status);
    expect(answer.text).not.toContain(HIDDEN);
  });

  it.each(ACCEPTED)('is none, and the node sees what was decided about: $name', (each) => {
    const { responses, statuses, isClosed, text } = answerTo(each);
    const count = each.count ?? 1;
    expect([statuses, isClosed]).toEqual([Array(count).fill(200), true]);
    const [first, second] = responses.map(({ body }) => JSON.parse(body));
    expect(first).toMatchObject({ path: '/v1/query/orders', headers: { 'x-principal-id': edge.member.userId } });
    for (const [name, value] of Object.entries(each.seen)) expect([name, first.headers[name]]).toEqual([name, value]);
    // Shown where it must be, so that its absence elsewhere means something.
    expect(text.includes(HIDDEN)).toBe(count === 2);
    if (count === 2) expect(second).toMatchObject({ path: '/v1/query/hidden', headers: { 'content-length': '2' } });
  });
});

describe('a path in disguise', () => {
  const post = async (person: Person, path: string) => {
    const bytes = `${head(sender(person), ['content-length: 2', 'connection: close'], `POST ${path} HTTP/1.1`)}{}`;
    const { statuses, responses } = await sendRaw(edge.http, bytes);
    const body = JSON.parse(responses[0]?.body ?? '{}');
    return {
      statuses,
      code: body.code,
      path: body.path,
      served: /^x-served-by: (\S+)/m.exec(responses[0]?.head ?? '')?.[1],
    };
  };

  it.each(PATHS)('is decided about, and served, as the plain one: $disguised', async ({ disguised, plain, atNode }) => {
    for (const person of [edge.member, boss]) {
      const answer = await post(person, disguised);
      expect(answer).toEqual(await post(person, plain));
      if (answer.statuses[0] === 200) expect(answer.path).toBe(atNode);
    }
    // One of them is served: what was seen at the node was seen at all.
    expect((await post(boss, disguised)).statuses).toEqual([200]);
  });

  it('tells the two apart: the one may what the other may not', async () => {
    expect(await post(edge.member, '/admin/runner/jobs/7')).toMatchObject({ statuses: [403], code: 'right_missing' });
    expect(await post(boss, '/admin/runner/jobs/7')).toMatchObject({ statuses: [200], served: 'runner/s1' });
  });

  describe('that could be read in two ways', () => {
    // All at once: Envoy keeps the connection of a refused one for a second.
    const refusals = new Map<string, Awaited<ReturnType<typeof post>>[]>();
    beforeAll(async () => {
      const ask = async ({ path }: { readonly path: string }) =>
        refusals.set(path, await Promise.all([post(edge.member, path), post(boss, path)]));
      await Promise.all(REFUSED_PATHS.map(ask));
    });

    it.each(REFUSED_PATHS)('is nobody’s: $path', ({ path, status }) => {
      const code = status === 404 ? 'not_found' : 'request_malformed';
      const expected = { statuses: [status], code, path: undefined, served: undefined };
      expect(refusals.get(path)).toEqual([expected, expected]);
    });
  });

  it('as an absolute address is the path in it', async () => {
    const absolute = (path: string) => post(edge.member, `http://${sender().authority}${path}`);
    expect(await absolute('/v1/query/orders')).toMatchObject({ statuses: [200], path: '/v1/query/orders' });
    expect(await absolute('/admin/runner/jobs')).toMatchObject({ statuses: [403], code: 'right_missing' });
  });
});

describe('headers', () => {
  it('that decide are there once', async () => {
    for (const twice of ['x-tenant-id: globex', `authorization: Bearer ${boss.token}`]) {
      const { statuses, text } = await sendRaw(
        edge.http,
        `${head(sender(), [twice, 'content-length: 2', 'connection: close'])}{}`,
      );
      expect([twice.split(':')[0], statuses]).toEqual([twice.split(':')[0], [400]]);
      expect(text).toContain('application/problem+json');
    }
  });

  it('are bounded in number and size', async () => {
    const many = Array.from({ length: LIMITS.requestHeadersMaxCount }, (_, index) => `x-${index}: 1`);
    const large = `x-large: ${'x'.repeat(1_024 * LIMITS.requestHeadersMaxKilobytes)}`;
    const sent = [many, [large]].map((headers) =>
      sendRaw(edge.http, `${head(sender(), [...headers, 'content-length: 2'])}{}`),
    );
    for (const answer of await Promise.all(sent)) {
      expectRefused(answer, 431);
      expect(JSON.parse(answer.responses[0]?.body ?? '')).toMatchObject({
        ...{ type: 'urn:gateway:error:headers_too_large', code: 'headers_too_large', status: 431 },
        ...{ request_id: expect.any(String), correlation_id: expect.any(String) },
      });
    }
  });

  it('that only the gateway may set do not reach a node', async () => {
    const names = [
      ...['x-gateway-cluster', 'x-gateway-command-id', 'x-gateway-unset', 'x-principal-id', 'x-principal-kind'],
      ...['x-decision-id', 'x-placement-epoch', 'x-served-by', 'x-routing-revision', 'x-forwarded-host', 'x-real-ip'],
      ...['x-http-method-override', 'x-original-url', 'x-rewrite-url', 'x-envoy-original-path', 'x-envoy-max-retries'],
      ...['x-envoy-upstream-rq-timeout-ms', 'x-envoy-retry-on', 'x-envoy-external-address', 'x-envoy-internal'],
    ];
    // A number where one is meant, and so that no other value could hold it by chance.
    const forged = Object.fromEntries(
      names.map((name, index) => [
        name,
        name.endsWith('-ms') || name.endsWith('epoch') ? `98765432${10 + index}` : `${FORGED}_${index}`,
      ]),
    );
    const { token } = edge.member;
    const answer = await ask(edge.http, '/v1/query/orders', { token, tenant: 'acme', body: {}, headers: forged });
    expect([answer.status, answer.headers.get('x-served-by')]).toEqual([200, 'projection/s1']);
    const arrived = JSON.stringify(answer.body['headers']);
    for (const value of Object.values(forged)) expect(arrived).not.toContain(value);
  });
});

describe('a client that takes its time', () => {
  it('keeps nobody waiting, and gets no answer to half a request', async () => {
    const slow = sendRaw(edge.http, 'POST /v1/query/orders HTTP/1.1\r\nhost: a\r\nx-', { deadlineMs: 700 });
    const request = { token: edge.member.token, tenant: 'acme', body: {} };
    expect((await ask(edge.http, '/v1/query/orders', request)).status).toBe(200);
    expect(await slow).toMatchObject({ statuses: [], isClosed: false });
  });
});
