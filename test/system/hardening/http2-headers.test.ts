import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { until } from '../../support/wait.ts';
import { FLAG, FRAME, frame, headerBlock, RawHttp2 } from './raw-http2.ts';

/**
 * Headers of HTTP/2 that would mean something else behind a gateway that writes them out as HTTP/1.1 (RFC 9113, 8.2.1 and
 * 8.3): the nodes of queries speak it here. A request is served as it was decided about, or not at all.
 */
const DEADLINE_MS = 20_000;
const HIDDEN = 'POST /v1/query/hidden HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}';

type Field = readonly [name: string, value: string];

let edge: GatewayWithMember;

beforeAll(async () => {
  edge = await startGatewayWithMember();
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const pseudo = (own: Readonly<Record<string, string>> = {}): Field[] =>
  Object.entries({
    ...{ ':method': 'POST', ':scheme': 'http', ':path': '/v1/query/orders', ':authority': new URL(edge.http).host },
    ...own,
  });
const regular = (): Field[] => [
  ['authorization', `Bearer ${edge.member.token}`],
  ['x-tenant-id', 'acme'],
  ['content-type', 'application/json'],
];

/** Sends one request with the body `{}`. @returns all that came back on its stream, once it or the connection is over */
async function sent(fields: readonly Field[], body = '{}') {
  using client = new RawHttp2(edge.http);
  client.send(frame(FRAME.headers, FLAG.endHeaders, 1, headerBlock(fields)));
  client.send(frame(FRAME.data, FLAG.endStream, 1, Buffer.from(body)));
  await until(() => client.isEnded || client.stream(1)?.isEnded === true || client.stream(1)?.reset !== undefined, {
    deadlineMs: DEADLINE_MS,
    what: 'the request to be over',
  });
  return { data: client.stream(1)?.data ?? '', hasEnded: client.isEnded, reset: client.stream(1)?.reset };
}

it('an honest request is served', async () => {
  expect((await sent([...pseudo(), ...regular()])).data).toContain('"view_type":"orders"');
});

describe('refused, and never seen by a node', () => {
  it.each<[string, () => readonly Field[]]>([
    ['a line end in a value', () => [...pseudo(), ...regular(), ['x-a', `b\r\n\r\n${HIDDEN}`]]],
    ['LF in a value', () => [...pseudo(), ...regular(), ['x-a', 'b\nx-principal-id: usr_forged']]],
    ['CR in a value', () => [...pseudo(), ...regular(), ['x-a', 'b\rc']]],
    ['NUL in a value', () => [...pseudo(), ...regular(), ['x-a', 'b\0c']]],
    ['a line end in a name', () => [...pseudo(), ...regular(), ['x-a\r\nx-principal-id', 'usr_forged']]],
    ['a colon in a name', () => [...pseudo(), ...regular(), ['x-principal-id: usr_forged', 'b']]],
    ['upper case in a name', () => [...pseudo(), ...regular(), ['X-Tenant-Id', 'globex']]],
    ['a line end in the path', () => [...pseudo({ ':path': `/v1/query/orders HTTP/1.1\r\n${HIDDEN}` }), ...regular()]],
    ['a space in the path', () => [...pseudo({ ':path': '/v1/query/hidden HTTP/1.1' }), ...regular()]],
    ['a space in the method', () => [...pseudo({ ':method': 'POST /v1/query/hidden HTTP/1.1' }), ...regular()]],
    ['a line end in the host', () => [...pseudo({ ':authority': `a\r\nx-principal-id: usr_forged` }), ...regular()]],
    ['two hosts in one', () => [...pseudo({ ':authority': 'a.example,b.example' }), ...regular()]],
    ['another path besides', () => [...pseudo(), [':path', '/v1/query/hidden'], ...regular()]],
    ['another method besides', () => [...pseudo(), [':method', 'GET'], ...regular()]],
    ['a pseudo-header behind others', () => [...regular(), ...pseudo()]],
    ['a pseudo-header of its own', () => [...pseudo({ ':cluster': 'runner/s1' }), ...regular()]],
    ['a pseudo-header of answers', () => [...pseudo({ ':status': '200' }), ...regular()]],
    ['no path', () => [...pseudo().filter(([name]) => name !== ':path'), ...regular()]],
    ['an empty path', () => [...pseudo({ ':path': '' }), ...regular()]],
    ['no method', () => [...pseudo().filter(([name]) => name !== ':method'), ...regular()]],
    ['transfer-encoding', () => [...pseudo(), ...regular(), ['transfer-encoding', 'chunked']]],
    ['connection', () => [...pseudo(), ...regular(), ['connection', 'x-tenant-id']]],
    ['te other than trailers', () => [...pseudo(), ...regular(), ['te', 'gzip']]],
    ['a length that is not that of the body', () => [...pseudo(), ...regular(), ['content-length', '1']]],
    ['two lengths', () => [...pseudo(), ...regular(), ['content-length', '2'], ['content-length', '3']]],
    ['another tenant besides', () => [...pseudo(), ...regular(), ['x-tenant-id', 'globex']]],
    ['two tokens', () => [...pseudo(), ...regular(), ['authorization', 'Bearer x']]],
  ])('%s', async (_, fields) => {
    const { data, hasEnded, reset } = await sent(fields());
    // An answer is a refusal; without one the stream or the connection was ended.
    if (data === '') expect(hasEnded || reset !== undefined).toBe(true);
    else expect(data).toMatch(/"status":4\d\d/);
    expect(data).not.toContain('view_type');
  });
});

it('a host beside the authority is not the one that counts', async () => {
  const { data } = await sent([...pseudo(), ...regular(), ['host', 'evil.example']]);
  expect(data).not.toContain('evil.example');
});
