import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { ask, assign, bootstrapAdmin, type Person, signUp } from '../../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../../support/launcher.ts';
import { sendRaw } from './raw-http1.ts';

let gateway: RunningGateway;
let http: string;
let member: Person;

beforeAll(async () => {
  gateway = await startGateway();
  ({ http } = await gateway.run());
  const admin = await bootstrapAdmin(gateway);
  member = await signUp(http, 'member@example.com');
  await assign(http, admin, member, 'acme', 'tenant-member');
});
afterAll(() => gateway[Symbol.asyncDispose]());

const authority = () => new URL(http).host;
const credentials = () => `authorization: Bearer ${member.token}\r\nx-tenant-id: acme\r\n`;
/** A request that would be answered 200 if it were ever taken for one. */
const hidden = () =>
  `POST /v1/query/hidden HTTP/1.1\r\nhost: ${authority()}\r\n${credentials()}content-length: 2\r\n\r\n{}`;
const head = (line: string, ...headers: string[]) =>
  `${line}\r\nhost: ${authority()}\r\n${credentials()}${headers.map((header) => `${header}\r\n`).join('')}\r\n`;
const POST = 'POST /v1/query/orders HTTP/1.1';

describe('a request within a request', () => {
  const chunkedHidden = () => `0\r\n\r\n${hidden()}`;
  it.each<[string, () => string]>([
    [
      'length and chunks',
      () => head(POST, `content-length: ${chunkedHidden().length}`, 'transfer-encoding: chunked') + chunkedHidden(),
    ],
    [
      'chunks and a short length',
      () => head(POST, 'transfer-encoding: chunked', 'content-length: 4') + chunkedHidden(),
    ],
    ['two lengths', () => `${head(POST, 'content-length: 2', `content-length: ${2 + hidden().length}`)}{}${hidden()}`],
    ['two lengths in one', () => `${head(POST, `content-length: 2, ${2 + hidden().length}`)}{}${hidden()}`],
    ['a length with a sign', () => `${head(POST, 'content-length: +2')}{}${hidden()}`],
    ['an encoding nobody knows', () => head(POST, 'transfer-encoding: chunked, identity') + chunkedHidden()],
    ['an encoding in disguise', () => head(POST, 'transfer-encoding: xchunked', 'content-length: 2') + chunkedHidden()],
    [
      'a space before the colon',
      () => head(POST, 'transfer-encoding : chunked', 'content-length: 2') + chunkedHidden(),
    ],
    ['a NUL in a value', () => `${head(POST, 'x-zero: a\0b', 'content-length: 2')}{}${hidden()}`],
    ['a chunk size that is none', () => `${head(POST, 'transfer-encoding: chunked')}2z\r\n{}\r\n0\r\n\r\n${hidden()}`],
    ['a negative chunk size', () => `${head(POST, 'transfer-encoding: chunked')}-2\r\n{}\r\n0\r\n\r\n${hidden()}`],
  ])('is refused, and what is hidden in it never served: %s', async (_, bytes) => {
    const { text, statuses } = await sendRaw(http, bytes());
    expect([statuses.length <= 1, statuses[0] ?? 400]).toEqual([true, expect.toSatisfy((status) => status >= 400)]);
    expect(text).not.toContain('"view_type":"hidden"');
  });

  it('a folded line is one value (RFC 9112, 5.2), and a lone CR ends none: the codec leaves it out', async () => {
    const headers = ['x-folded: a', ' transfer-encoding: chunked', 'x-return: a\rtransfer-encoding: chunked'];
    const { statuses, text } = await sendRaw(http, `${head(POST, ...headers, 'content-length: 2')}{}`);
    expect(statuses).toEqual([200]);
    expect(text).toContain('"x-folded":"a transfer-encoding: chunked"');
    expect(text).toContain('"x-return":"atransfer-encoding: chunked"');
  });

  it('two honest requests on one connection are two', async () => {
    const bytes = `${head(POST, 'content-length: 2')}{}${hidden()}`;
    expect((await sendRaw(http, bytes)).statuses).toEqual([200, 200]);
  });
});

describe('a path in disguise', () => {
  it.each([
    '/v1/query/../../admin/runner/jobs',
    '/v1/query/%2e%2e/%2e%2e/admin/runner/jobs',
    '/v1/query/..%2f..%2fadmin/runner/jobs',
    '/v1/query/..%5c..%5cadmin/runner/jobs',
    '/v1/query//../../admin/runner/jobs',
    '//admin/runner/jobs',
    '/./admin/runner/jobs',
    '/admin/runner/jobs/../../../v1/query/orders/../../../admin/runner/jobs',
    '/%61dmin/runner/jobs',
    '/admin;x=y/runner/jobs',
    '/admin/runner/%00',
    '/ADMIN/runner/jobs',
    '/v1/query/a%00b',
    '/v1/query/a%c0%afb',
  ])('never reaches what its sender may not: %s', async (path) => {
    const { text, statuses } = await sendRaw(http, `${head(`POST ${path} HTTP/1.1`, 'content-length: 2')}{}`);
    expect(statuses).toEqual([expect.toSatisfy((status) => status >= 400 && status < 500)]);
    expect(text).not.toContain('x-served-by');
  });

  it('as an absolute address is the path in it', async () => {
    const absolute = (path: string) =>
      sendRaw(http, `${head(`POST http://${authority()}${path} HTTP/1.1`, 'content-length: 2')}{}`);
    expect((await absolute('/v1/query/orders')).statuses).toEqual([200]);
    expect((await absolute('/admin/runner/jobs')).statuses).toEqual([403]);
  });
});

describe('headers', () => {
  it('that decide are there once', async () => {
    for (const twice of ['x-tenant-id: globex', `authorization: Bearer ${member.token}`]) {
      const { statuses, text } = await sendRaw(http, `${head(POST, twice, 'content-length: 2')}{}`);
      expect([twice.split(':')[0], statuses]).toEqual([twice.split(':')[0], [400]]);
      expect(text).toContain('application/problem+json');
    }
  });

  it('are bounded in number and size', async () => {
    const many = Array.from({ length: LIMITS.requestHeadersMaxCount }, (_, index) => `x-${index}: 1`);
    const large = `x-large: ${'x'.repeat(1_024 * LIMITS.requestHeadersMaxKilobytes)}`;
    for (const headers of [many, [large]]) {
      const { statuses } = await sendRaw(http, `${head(POST, ...headers, 'content-length: 2')}{}`);
      expect(statuses).toEqual([431]);
    }
  });

  it('that only the gateway may set do not reach a node', async () => {
    const forged = {
      'x-gateway-cluster': 'runner/s1',
      'x-principal-id': 'usr_forged',
      'x-principal-kind': 'service',
      'x-decision-id': 'dec_forged',
      'x-placement-epoch': '999999',
      'x-envoy-original-path': '/forged',
      'x-envoy-upstream-rq-timeout-ms': '1',
    };
    const headers = { authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme', ...forged };
    const answer = await ask(http, '/v1/query/orders', { body: {}, headers });
    expect([answer.status, answer.headers.get('x-served-by')]).toEqual([200, 'projection/s1']);
    const arrived = JSON.stringify(answer.body['headers']);
    for (const value of Object.values(forged).filter((each) => each.length > 1)) expect(arrived).not.toContain(value);
  });
});

describe('a client that takes its time', () => {
  it('keeps nobody waiting, and gets no answer to half a request', async () => {
    const slow = sendRaw(http, 'POST /v1/query/orders HTTP/1.1\r\nhost: a\r\nx-');
    const headers = { authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' };
    expect((await ask(http, '/v1/query/orders', { body: {}, headers })).status).toBe(200);
    expect((await slow).statuses).toEqual([]);
  });
});
