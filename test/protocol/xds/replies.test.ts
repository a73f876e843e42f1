import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ERRORS, type ErrorCode } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { makeAuthority, makeServerCertificate } from '../../../src/launcher/data/make-certificates.ts';
import { edgeSecret } from '../../../xds/resources.ts';
import { until } from '../../support/wait.ts';
import { callGrpc, getH2, greetTls, sendRaw } from './rig/clients.ts';
import { decideByTarget, type Edge, startEdge } from './rig/edge.ts';

/** What a real Envoy answers itself with the generated configuration: errors, ids, TLS, limits. */
let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
  // A shard whose endpoint refuses connections, one without endpoints.
  const { revision } = edge.apply((nodes) => ({
    aggregate_placement: {},
    projection_placement: {},
    runner_placement: {},
    aggregate_shards: {
      s1: { endpoints: [{ address: '127.0.0.1', port: nodes.aggregate }] },
      dead: { endpoints: [{ address: '127.0.0.1', port: 1 }] },
      empty: { endpoints: [] },
    },
    projection_shards: {
      s1: { endpoints: [{ address: '127.0.0.1', port: nodes.projection }] },
      dead: { endpoints: [{ address: '127.0.0.1', port: 1 }] },
      empty: { endpoints: [] },
    },
    runner_shards: { s1: { endpoints: [{ address: '127.0.0.1', port: nodes.runner }] } },
  }));
  await until(() => edge.controlPlane.envoys()[0]?.acked === revision, { deadlineMs: 10_000, what: 'the stamp' });
});
afterAll(() => edge?.[Symbol.asyncDispose]());
beforeEach(() => {
  edge.authz.decide = decideByTarget;
  edge.authz.checks.length = 0;
});

const send = (path: string, init: RequestInit = {}) => fetch(`${edge.http}${path}`, init);
const query = (init: RequestInit = {}) =>
  send('/v1/query/x', { method: 'POST', body: '{}', ...init, headers: { 'x-tenant-id': 'acme', ...init.headers } });
const address = () => `127.0.0.1:${edge.port}`;

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TRACE = /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/;

/** A problem document of the contract, its ids the same as those in the headers. */
async function expectProblem(response: Response, code: ErrorCode): Promise<Record<string, unknown>> {
  const body: Record<string, unknown> = JSON.parse(await response.text());
  const { status, title } = ERRORS[code];
  expect([response.status, response.headers.get('content-type')]).toEqual([status, 'application/problem+json']);
  expect(body).toMatchObject({
    type: `urn:gateway:error:${code}`,
    title,
    status,
    code,
    detail: expect.stringMatching(/./),
    request_id: response.headers.get('x-request-id'),
    correlation_id: response.headers.get('x-correlation-id'),
  });
  expect(response.headers.get('x-gateway-error')).toBe(code);
  expect(response.headers.get('x-request-id')).toMatch(ID);
  expect(response.headers.get('traceparent')).toMatch(TRACE);
  expect(response.headers.get('x-gateway-early-reply')).toBeNull();
  // Nothing of what Envoy knows about upstreams.
  expect(JSON.stringify(body)).not.toMatch(/127\.0\.0\.1|refused|upstream connect|delayed/i);
  return body;
}

describe('what Envoy refuses is a problem document', () => {
  it('a decision that cannot be made', async () => {
    edge.authz.decide = () => {
      throw new Error('the decision fails');
    };
    await expectProblem(await query(), 'routing_unavailable');
  });

  it.each([
    ['a cluster that does not exist', 'projection/none', 'routing_unavailable'],
    ['a shard whose endpoint is dead', 'projection/dead', 'upstream_unavailable'],
    ['a shard without endpoints', 'projection/empty', 'upstream_unavailable'],
  ] as const)('%s', async (_, cluster, code) => {
    edge.authz.decide = () => ({ allow: cluster });
    const body = await expectProblem(await query(), code);
    expect(body['decision_id']).toBe('dec_1');
  });

  it('a body above the limit, announced or not', async () => {
    const body = 'x'.repeat(LIMITS.requestBodyMaxBytes + 1);
    await expectProblem(await query({ body }), 'body_too_large');
    const parts = new Blob([body]).stream();
    const init = { body: parts, duplex: 'half' } as const;
    expect((await query(init).catch(() => undefined))?.status ?? 413).toBe(413);
    expect((await query({ body: `{"x":"${'x'.repeat(LIMITS.requestBodyMaxBytes - 100)}"}` })).status).toBe(200);
  });

  it('but a routing document may be larger, and nothing else of the API', async () => {
    const body = 'x'.repeat(LIMITS.requestBodyMaxBytes + 1);
    const push = (path: string) => send(path, { method: 'POST', body });
    expect((await push('/admin/routing/revisions')).status).toBe(200);
    expect((await push('/admin/routing/revisions?x=1')).status).toBe(200);
    for (const path of ['/admin/routing/revisions/1', '/admin/routing/revisionsX', '/x?/admin/routing/revisions'])
      await expectProblem(await push(path), 'body_too_large');
  });

  it('JSON that is none, and members nobody knows of in the query', async () => {
    const post = (path: string, body: string) =>
      send(path, { method: 'POST', body, headers: { 'x-tenant-id': 'acme' } });
    await expectProblem(await post('/v1/commands/order/1', '{"x":'), 'validation_failed');
    const body = await expectProblem(await post('/v1/commands/order/1?nope=1', '{}'), 'validation_failed');
    expect(body['detail']).toContain('nope');
  });

  it('a denial, as the decision service wrote it, with the ids', async () => {
    edge.authz.decide = () => ({ deny: 403, body: '{"code":"right_missing"}' });
    const response = await query();
    expect([response.status, response.headers.get('content-type')]).toEqual([403, 'application/problem+json']);
    expect(await response.text()).toBe('{"code":"right_missing"}');
    expect(response.headers.get('x-request-id')).toMatch(ID);
    expect(response.headers.get('traceparent')).toMatch(TRACE);
  });

  it('what an upstream answers passes untouched', async () => {
    const response = await send('/v1/query/x', {
      method: 'POST',
      body: '{"delay_ms":"x"}',
      headers: { 'x-tenant-id': 'acme' },
    });
    expect([response.status, response.headers.get('x-served-by')]).toEqual([400, 'projection/s1']);
    expect(response.headers.get('x-envoy-upstream-service-time')).toBeNull();
  });
});

describe('what Envoy refuses before it looks at the request', () => {
  const raw = async (text: string) => {
    const answer = await sendRaw(edge.port, text);
    const [head = '', body = ''] = answer.split('\r\n\r\n');
    return { status: Number(head.split(' ')[1]), head, body: JSON.parse(body === '' ? '{}' : body) };
  };
  const lines = (...text: readonly string[]) => `${text.join('\r\n')}\r\n\r\n`;

  it.each([
    ['an escaped slash', lines('GET /v1/query/a%2fb HTTP/1.1', 'Host: g', 'Connection: close'), 'request_malformed'],
    ['an escaped NUL', lines('GET /v1/query/a%00b HTTP/1.1', 'Host: g', 'Connection: close'), 'request_malformed'],
    ['no host', lines('GET / HTTP/1.1', 'Connection: close'), 'request_malformed'],
    ['HTTP/1.0', lines('GET / HTTP/1.0'), 'upgrade_required'],
    ['no HTTP', lines('hello'), 'request_malformed'],
    [
      'an underscore in a name',
      lines('GET / HTTP/1.1', 'Host: g', 'x_tenant_id: acme', 'Connection: close'),
      'request_malformed',
    ],
    ['a huge header', lines('GET / HTTP/1.1', 'Host: g', `x: ${'x'.repeat(40_000)}`), 'headers_too_large'],
    ['two lengths', lines('POST / HTTP/1.1', 'Host: g', 'Content-Length: 3', 'Content-Length: 4'), 'request_malformed'],
    [
      'an unknown encoding',
      lines('POST / HTTP/1.1', 'Host: g', 'Transfer-Encoding: x', 'Connection: close'),
      'not_implemented',
    ],
  ] as const)('%s', async (_, text, code) => {
    const { status, head, body } = await raw(text);
    expect([status, body.code]).toEqual([ERRORS[code].status, code]);
    expect(body.request_id).toMatch(ID);
    expect(head).toContain(`x-request-id: ${body.request_id}`);
    expect(head).toContain(`x-correlation-id: ${body.correlation_id}`);
    expect(head).toContain('content-type: application/problem+json');
    expect(head).not.toMatch(/x-gateway-early-reply|00---/);
    expect(edge.authz.checks).toEqual([]);
  });

  it('keeps a clean correlation id of the client, and no other id', async () => {
    const request = (id: string) =>
      lines('GET /a%2fb HTTP/1.1', 'Host: g', 'Connection: close', `x-correlation-id: ${id}`, 'x-request-id: mine');
    expect((await raw(request('a:b.c_d-1'))).body).toMatchObject({
      correlation_id: 'a:b.c_d-1',
      request_id: expect.stringMatching(ID),
    });
    expect((await raw(request('a"b'))).body.correlation_id).toMatch(ID);
  });
});

describe('native gRPC gets a status and plain text', () => {
  const message = { aggregate_type: 'order', aggregate_id: '1', command_id: 'c', command_type: 'place' };

  it.each([
    ['a cluster that does not exist', 'aggregate/none', 'routing_unavailable'],
    ['a shard whose endpoint is dead', 'aggregate/dead', 'upstream_unavailable'],
    ['a shard without endpoints', 'aggregate/empty', 'upstream_unavailable'],
  ] as const)('%s', async (_, cluster, code) => {
    edge.authz.decide = () => ({ allow: cluster });
    const answer = await callGrpc(address(), { message });
    expect([answer.code, answer.metadata['x-gateway-error']]).toEqual([ERRORS[code].grpc, code]);
    expect(answer.details).not.toMatch(/[{}]|127\.0\.0\.1/);
    expect(answer.metadata['x-request-id']).toMatch(ID);
    expect(answer.metadata['traceparent']).toMatch(TRACE);
  });

  it('a decision that cannot be made', async () => {
    edge.authz.decide = () => {
      throw new Error('the decision fails');
    };
    expect(await callGrpc(address(), { message })).toMatchObject({
      code: 14,
      metadata: { 'x-gateway-error': 'routing_unavailable' },
    });
  });

  it('a denial with the status of the decision service', async () => {
    edge.authz.decide = () => ({ deny: 404, grpc: 5, body: 'there is no such endpoint' });
    const answer = await callGrpc(address(), { path: '/some.Service/Method' });
    expect([answer.code, answer.details]).toEqual([5, 'there is no such endpoint']);
  });

  it('a message above the limit', async () => {
    const answer = await callGrpc(address(), {
      message: { ...message, aggregate_id: 'x'.repeat(LIMITS.requestBodyMaxBytes) },
    });
    expect([answer.code, answer.metadata['x-gateway-error']]).toEqual([8, 'body_too_large']);
    const fits = await callGrpc(address(), { message: { ...message, aggregate_id: 'x'.repeat(900_000) } });
    expect(fits.metadata['x-served-by']).toBe('aggregate/s1');
  });
});

describe('ids', () => {
  const upstream = async (headers: Record<string, string>) => {
    const response = await query({ headers });
    return { response, headers: JSON.parse(await response.text()).headers as Record<string, string> };
  };

  it('keeps a clean correlation id everywhere', async () => {
    const { response, headers } = await upstream({ 'x-correlation-id': 'a:b.c_d-1' });
    expect([response.headers.get('x-correlation-id'), headers['x-correlation-id']]).toEqual(['a:b.c_d-1', 'a:b.c_d-1']);
  });

  it.each(['', 'a b', 'a"b', 'ä', 'x'.repeat(129)])('replaces the correlation id "%s"', async (id) => {
    const { response, headers } = await upstream({
      'x-correlation-id': encodeURIComponent(id) === id ? id : unescape(encodeURIComponent(id)),
    });
    expect(response.headers.get('x-correlation-id')).toMatch(ID);
    expect(headers['x-correlation-id']).toBe(response.headers.get('x-correlation-id'));
  });

  it('makes the request id itself', async () => {
    const { response, headers } = await upstream({ 'x-request-id': 'mine' });
    expect(response.headers.get('x-request-id')).toMatch(ID);
    expect(headers['x-request-id']).toBe(response.headers.get('x-request-id'));
  });

  it.each([
    ['a trace', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', true],
    ['a trace not to be recorded', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', true],
    ['a trace id of 64 bits', '00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-01', true],
    ['no trace id', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, false],
    ['no parent', '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01', false],
    ['upper case', '00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01', false],
    ['another version', 'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', false],
    ['a short one', '00-0af7651916cd43dd-b7ad6b7169203331-01', false],
  ])('traceparent: %s', async (_, traceparent, kept) => {
    const { response, headers } = await upstream({ traceparent, tracestate: 'a=b' });
    const trace = traceparent.split('-')[1] ?? '';
    for (const value of [response.headers.get('traceparent') ?? '', headers['traceparent'] ?? '']) {
      expect(value).toMatch(TRACE);
      expect(value.split('-')[1] === trace).toBe(kept);
    }
    if (kept) expect(response.headers.get('traceparent')?.slice(-2)).toBe(traceparent.slice(-2));
    expect(headers['tracestate'] ?? '').toBe(kept ? 'a=b' : '');
  });

  it('are on gRPC answers too', async () => {
    const answer = await callGrpc(address(), { metadata: { 'x-correlation-id': 'grpc:1' } });
    expect(answer.metadata).toMatchObject({
      'x-correlation-id': 'grpc:1',
      'x-request-id': expect.stringMatching(ID),
      traceparent: expect.stringMatching(TRACE),
    });
  });
});

describe('TLS', () => {
  it('offers HTTP/2 and HTTP/1.1 from TLS 1.2 on', async () => {
    const { ca, tlsPort } = edge;
    expect((await greetTls(tlsPort, { ca, alpn: ['h2', 'http/1.1'] })).alpn).toBe('h2');
    expect((await greetTls(tlsPort, { ca, alpn: ['http/1.1'] })).alpn).toBe('http/1.1');
    expect((await greetTls(tlsPort, { ca, maxVersion: 'TLSv1.2' })).protocol).toBe('TLSv1.2');
    await expect(greetTls(tlsPort, { ca, maxVersion: 'TLSv1.1' })).rejects.toThrow();
    expect(await getH2(tlsPort, '/health', ca)).toBe(200);
  });

  it('takes a new certificate for new connections, the listener untouched, and keeps it when the next is broken', async () => {
    const before = await edge.envoy.stat('listener_manager.listener_modified');
    const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 7_200_000) };
    const authority = await makeAuthority(validity);
    const renewed = await makeServerCertificate(authority, validity);
    edge.controlPlane.putSecret(edgeSecret(renewed.certificate, renewed.key));
    const greet = () => greetTls(edge.tlsPort, { ca: authority.certificate });
    await until(greet, { deadlineMs: 10_000, what: 'the new certificate' });
    edge.controlPlane.putSecret(
      edgeSecret('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', renewed.key),
    );
    await until(() => edge.controlPlane.envoys()[0]?.rejected[0], { deadlineMs: 10_000, what: 'the rejection' });
    expect(edge.controlPlane.envoys()[0]?.rejected).toMatchObject([
      { names: ['edge'], type: expect.stringMatching(/Secret$/) },
    ]);
    expect((await greet()).alpn).not.toBe(undefined);
    expect(await edge.envoy.stat('listener_manager.listener_modified')).toBe(before);
  });
});

describe('a draining Envoy', () => {
  it('is not ready, though it still serves', async () => {
    expect((await send('/ready')).status).toBe(200);
    await edge.envoy.post('/healthcheck/fail');
    const response = await send('/ready');
    expect(response.status).toBe(503);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    // In the form of the authz service: not that nothing can be routed, but which condition does not hold.
    expect(await response.json()).toMatchObject({
      ...{ status: 503, code: 'routing_unavailable', detail: 'not ready: draining' },
      request_id: response.headers.get('x-request-id'),
      conditions: [{ name: 'draining', ok: false, detail: expect.any(String) }],
    });
    expect((await query()).status).toBe(200);
    await edge.envoy.post('/healthcheck/ok');
    expect((await send('/ready')).status).toBe(200);
  });
});
