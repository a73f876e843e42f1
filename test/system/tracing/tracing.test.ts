import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, bootstrapAdmin, commandClient, metadataOf, move, type Person } from '../../support/edge-client.ts';
import { startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { type RunningGateway, startGateway } from '../../support/launcher.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../../support/otlp/otlp-receiver.ts';
import { until } from '../../support/wait.ts';

/** What a collector gets of a request: one tree across Envoy, authz and the node, under the client's span if it has one. */
let collector: OtlpReceiver;
let gateway: RunningGateway;
let http: string;
let admin: Person;
let member: Person;

beforeAll(async () => {
  collector = await startOtlpReceiver();
  ({ gateway, http, admin, member } = await startGatewayWithMember({
    env: { GATEWAY_OTLP_ENDPOINT: collector.endpoint },
  }));
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
});

const CLIENT_SPAN = 'b7ad6b7169203331';
let traces = 0;
/** A trace of the client's; the flag `01` asks for it to be recorded. */
const clientTrace = (flags = '01') => {
  traces += 1;
  const traceId = `${'0'.repeat(31)}${traces}`.slice(-32).replace(/^0/, 'a');
  return { traceId, traceparent: `00-${traceId}-${CLIENT_SPAN}-${flags}` };
};
const query = (traceparent?: string, tenant = 'acme') =>
  ask(http, '/v1/query/orders?secret=s3cr3t', {
    token: member.token,
    tenant,
    body: {},
    headers: traceparent === undefined ? {} : { traceparent },
  });
const COMMAND = { command_id: 'c1', command_type: 'order.place', payload: { amount: 3 } };

const NAMES = {
  edge: (span: ReceivedSpan) => span.service === 'gateway-edge' && span.kind === 2,
  call: (span: ReceivedSpan) => span.service === 'gateway-edge' && span.kind === 3,
  check: (span: ReceivedSpan) => span.service === 'gateway-authz' && span.name === 'ext_authz check',
  api: (span: ReceivedSpan) => span.service === 'gateway-authz' && span.name !== 'ext_authz check',
  node: (span: ReceivedSpan) => span.service.startsWith('gateway-node-'),
} as const;
type Part = keyof typeof NAMES;

/** The spans of a trace by who made them, once all of these are there. Each must be there once, and no other. */
async function treeOf<Parts extends Part>(traceId: string, parts: readonly Parts[]) {
  const found = await until(
    () => {
      const spans = collector.spans.filter((span) => span.traceId === traceId);
      return parts.every((part) => spans.some(NAMES[part])) && spans;
    },
    { deadlineMs: 20_000, what: `the spans of ${traceId}` },
  );
  expect(found.map(({ service, name }) => `${service} ${name}`)).toHaveLength(parts.length);
  const one = (part: Part): ReceivedSpan => {
    const span = found.find(NAMES[part]);
    if (span === undefined) throw new Error(`no span of ${part}`);
    return span;
  };
  return one;
}
const traceIdOf = (traceparent: string | null): string => traceparent?.split('-')[1] ?? '';

/** Envoy's call is below the edge, the decision below the call, and within it in time. */
function expectDecision(one: (part: Part) => ReceivedSpan): void {
  expect(one('call').parentId).toBe(one('edge').spanId);
  expect(one('check').parentId).toBe(one('call').spanId);
  expect(one('check').attributes['gateway.decision_id']).toBe(one('edge').attributes['gateway.decision_id']);
  expect(one('check').endNs >= one('check').startNs).toBe(true);
}

describe('the spans of one request', () => {
  it('make one tree of a query, under the span of its client', async () => {
    const { traceId, traceparent } = clientTrace();
    const answer = await query(traceparent);
    expect(answer.status).toBe(200);
    const one = await treeOf(traceId, ['edge', 'call', 'check', 'node']);
    expectDecision(one);
    const edge = one('edge');
    expect(edge).toMatchObject({ parentId: CLIENT_SPAN, name: 'POST projection', state: 0 });
    expect(answer.headers.get('traceparent')).toBe(`00-${traceId}-${edge.spanId}-01`);
    expect(one('node')).toMatchObject({ parentId: edge.spanId, service: 'gateway-node-projection-s1', state: 0 });
    expect(edge.attributes).toMatchObject({
      'gateway.tenant_id': 'acme',
      'gateway.outcome': 'allow',
      'gateway.reason': 'allowed',
      'gateway.revision': '1',
      'gateway.correlation_id': answer.headers.get('x-correlation-id'),
      'http.status_code': '200',
    });
    expect(one('check').attributes).toMatchObject({
      'gateway.outcome': 'allow',
      'gateway.reason': 'allowed',
      'gateway.endpoint': 'query.read',
      'gateway.cluster': 'projection/s1',
    });
  });

  it('begin a trace where the client has none, for gRPC', async () => {
    using client = commandClient(http);
    const headers = { authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' };
    const request = { aggregate_type: 'order', aggregate_id: '1', ...COMMAND };
    const answer = await client.submit(request, metadataOf(headers));
    const one = await treeOf(traceIdOf(String(answer.headers?.get('traceparent')[0])), [
      'edge',
      'call',
      'check',
      'node',
    ]);
    expectDecision(one);
    expect(one('edge')).toMatchObject({ parentId: '', state: 0 });
    expect(one('node')).toMatchObject({ parentId: one('edge').spanId, name: 'SubmitCommand', state: 0 });
  });

  it('are the same for a command in JSON, and say of one that the node refuses that it failed there', async () => {
    const { traceId, traceparent } = clientTrace();
    const body = { ...COMMAND, command_id: 'c2', command_type: 'test.fail.INTERNAL' };
    const options = { token: member.token, tenant: 'acme', body, headers: { traceparent } };
    const answer = await ask(http, '/v1/commands/order/2', options);
    expect(answer.status).toBe(500);
    const one = await treeOf(traceId, ['edge', 'call', 'check', 'node']);
    expectDecision(one);
    expect(one('edge')).toMatchObject({ parentId: CLIENT_SPAN, state: 2 });
    expect(one('node')).toMatchObject({ parentId: one('edge').spanId, state: 2 });
    expect(one('check').state).toBe(0);
  });

  it('end at the decision where a request is denied, which is no failure', async () => {
    const { traceId, traceparent } = clientTrace();
    const answer = await query(traceparent, 'globex');
    expect(answer.status).toBe(403);
    const one = await treeOf(traceId, ['edge', 'call', 'check']);
    expectDecision(one);
    expect(one('edge')).toMatchObject({ parentId: CLIENT_SPAN, state: 0 });
    expect(one('check').state).toBe(0);
    const denied = { 'gateway.outcome': 'deny', 'gateway.reason': 'tenant_forbidden', 'gateway.tenant_id': 'globex' };
    expect(one('edge').attributes).toMatchObject(denied);
    expect(one('check').attributes).toMatchObject(denied);
  });

  it('have the API in the place of a node', async () => {
    const { traceId, traceparent } = clientTrace();
    expect((await ask(http, '/v1/auth/me', { token: member.token, headers: { traceparent } })).status).toBe(200);
    const one = await treeOf(traceId, ['edge', 'call', 'check', 'api']);
    expectDecision(one);
    expect(one('api')).toMatchObject({ parentId: one('edge').spanId, name: 'GET /v1/auth/me', state: 0 });
    expect(one('api').attributes).toMatchObject({ 'http.response.status_code': '200', 'http.route': '/v1/auth/me' });
  });

  it('are not sent where the client does not want them recorded', async () => {
    const silent = clientTrace('00');
    const answer = await query(silent.traceparent);
    expect(answer.headers.get('traceparent')).toMatch(new RegExp(`^00-${silent.traceId}-[0-9a-f]{16}-00$`));
    // What comes later has arrived with every part: so would have that.
    const later = clientTrace();
    await query(later.traceparent);
    await treeOf(later.traceId, ['edge', 'call', 'check', 'node']);
    expect(collector.spans.filter(({ traceId }) => traceId === silent.traceId)).toEqual([]);
  });

  it('hold no secret', () => {
    const text = JSON.stringify(collector.spans, (_, value: unknown) =>
      typeof value === 'bigint' ? `${value}` : value,
    );
    for (const secret of [member.token, admin.token, member.refreshToken, 's3cr3t', 'example.com', 'Bearer']) {
      expect(text).not.toContain(secret);
    }
  });
});

it('a revision is one trace: applied, then told to and acknowledged by each Envoy', async () => {
  const answer = await move(http, admin, { tenant: 'acme', projection: 's2' });
  const revision = String(answer.body['revision']);
  const stamp = await until(
    () =>
      collector.spans.find(({ name, attributes }) => name === 'stamp' && attributes['gateway.revision'] === revision),
    { deadlineMs: 20_000, what: 'the span of the stamp' },
  );
  expect(stamp).toMatchObject({ service: 'gateway-xds', state: 0 });
  expect(stamp.attributes['gateway.envoy']).toBe('envoy-1');
  const parent = collector.spans.find(({ spanId }) => spanId === stamp.parentId);
  expect(parent).toMatchObject({ name: 'apply routing revision', parentId: '', traceId: stamp.traceId });
  expect(parent?.attributes['gateway.revision']).toBe(revision);
});

describe('a gateway whose collector takes nothing', () => {
  let deaf: Server;
  let other: RunningGateway;
  beforeAll(async () => {
    // It accepts connections and never answers: worse than one that is away.
    deaf = createServer(() => undefined);
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    const address = deaf.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const env = { GATEWAY_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, GATEWAY_TRACE_SAMPLE_PERCENT: '0' };
    other = await startGateway({ env });
  });
  afterAll(async () => {
    await other?.[Symbol.asyncDispose]();
    deaf?.close();
  });

  it('serves as ever, records none where the share is 0, counts what it lost, and stops', async () => {
    const run = await other.run();
    await bootstrapAdmin(other);
    const unrecorded = await ask(run.http, '/v1/auth/me');
    expect(unrecorded.headers.get('traceparent')).toMatch(/-00$/);
    const { traceparent } = clientTrace();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => ask(run.http, '/v1/auth/me', { headers: { traceparent } })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
    await until(
      async () => {
        const metrics = await (await fetch(`${run.authz.http}/metrics`)).text();
        return /gateway_spans_dropped_total\{reason="export_failed",service="authz"\} [1-9]/.test(metrics);
      },
      { deadlineMs: 20_000, what: 'lost spans to be counted' },
    );
    expect(await other.stop()).toBe(0);
  });
});
