import { toBinary } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { decodeToJson, messageFromJson, messageType } from '#platform/proto-registry.ts';
import { loadCommandProtocol } from '../nodes/aggregate/command-service.ts';
import { ask, commandClient, metadataOf, type Person } from '../support/edge-client.ts';
import { startGatewayWithMember } from '../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../support/launcher.ts';
import { readFrames, sendGrpc, sendGrpcWeb, sendHttp1, type WireAnswer } from './edge-matrix/wire-client.ts';

/** Commands in each of their forms: by which id they are known, how large they may be, what texts they may hold. */
let gateway: RunningGateway;
let http: string;
let port: number;
let member: Person;

beforeAll(async () => {
  ({ gateway, http, member } = await startGatewayWithMember());
  port = Number(new URL(http).port);
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const { registry } = loadCommandProtocol();
const REQUEST = 'aggregate.gateway.v1.SubmitCommandRequest';
const encode = (fields: Parameters<typeof messageFromJson>[2]): Buffer =>
  Buffer.from(toBinary(messageType(registry, REQUEST), messageFromJson(registry, REQUEST, fields)));

const headers = (more: Readonly<Record<string, string>> = {}) => ({
  authorization: `Bearer ${member.token}`,
  'x-tenant-id': 'acme',
  ...more,
});
const PLACE = { command_type: 'order.place', payload: { amount: 3 } };
const byJson = (aggregate: string, body: object, more: Readonly<Record<string, string>> = {}) =>
  ask(http, `/v1/commands/order/${aggregate}`, { body, headers: headers(more) });
async function byGrpc(aggregate: string, fields: object, more: Readonly<Record<string, string>> = {}) {
  using client = commandClient(http);
  return await client.submit(
    { aggregate_type: 'order', aggregate_id: aggregate, ...fields },
    metadataOf(headers(more)),
  );
}
const byWeb = (body: Buffer, options: { readonly more?: Record<string, string>; readonly text?: boolean } = {}) =>
  sendGrpcWeb(
    port,
    { method: 'POST', path: COMMAND_GRPC_PATH, headers: headers(options.more), body },
    options.text ?? false,
  );
const answerOf = (answer: WireAnswer): unknown =>
  readFrames(answer.body).messages.map((message) =>
    decodeToJson(registry, 'aggregate.gateway.v1.SubmitCommandResponse', message),
  )[0];

describe('a command without an id of its own', () => {
  it.each(['idempotency-key', 'x-command-id'])('has that of %s, and a repeat is the same command', async (name) => {
    const key = { [name]: `${name}:json` };
    const first = await byJson(`json-${name}`, PLACE, key);
    expect(first.body).toMatchObject({ command_id: `${name}:json`, version: '1' });
    expect((await byJson(`json-${name}`, PLACE, key)).body).toEqual(first.body);
    const next = await byJson(`json-${name}`, PLACE, { [name]: `${name}:next` });
    expect(next.body).toMatchObject({ command_id: `${name}:next`, version: '2' });

    const grpcKey = { [name]: `${name}:grpc` };
    const called = await byGrpc(`grpc-${name}`, PLACE, grpcKey);
    expect(called.response).toMatchObject({ command_id: `${name}:grpc`, version: '1' });
    expect((await byGrpc(`grpc-${name}`, PLACE, grpcKey)).response).toEqual(called.response);
  });

  it('is one command in JSON, in gRPC, in gRPC-Web, and with the id in the message', async () => {
    const key = { 'idempotency-key': 'one' };
    const first = await byJson('one', PLACE, key);
    expect(first.body).toMatchObject({ command_id: 'one', version: '1' });
    expect((await byGrpc('one', PLACE, key)).response).toEqual(first.body);
    expect((await byGrpc('one', { ...PLACE, command_id: 'one' })).response).toEqual(first.body);
    const web = await byWeb(encode({ aggregate_type: 'order', aggregate_id: 'one', ...PLACE }), { more: key });
    expect(answerOf(web)).toMatchObject({ command_id: 'one', version: '1' });
  });

  it('is refused without one, with a bad one and with two, the field named', async () => {
    const refused = [
      {},
      { 'idempotency-key': 'a b' },
      { 'idempotency-key': 'x'.repeat(129) },
      { 'idempotency-key': 'k', 'x-command-id': 'l' },
    ];
    for (const more of refused) {
      const answer = await byJson('refused', PLACE, more);
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({ code: 'validation_failed', errors: [{ pointer: '/command_id' }] });
      const { error } = await byGrpc('refused', PLACE, more);
      expect([error?.code, error?.metadata.get('x-gateway-error')]).toEqual([
        status.INVALID_ARGUMENT,
        ['validation_failed'],
      ]);
    }
    const twice = await sendHttp1(port, {
      method: 'POST',
      path: '/v1/commands/order/refused',
      headers: { ...headers(), 'idempotency-key': ['k', 'k'] },
      body: Buffer.from(JSON.stringify(PLACE)),
    });
    expect(twice.status).toBe(400);
    const other = await byJson('refused', { ...PLACE, command_id: 'c' }, { 'idempotency-key': 'k' });
    expect(other.body).toMatchObject({ errors: [{ pointer: '/command_id', code: 'mismatch' }] });
  });
});

describe('gRPC-Web', () => {
  it.each([false, true])('is answered in its own framing, as text: %s', async (text) => {
    const fields = { aggregate_type: 'order', aggregate_id: `web-${text}`, command_id: `web-${text}`, ...PLACE };
    const answer = await byWeb(encode(fields), { text });
    expect(answer.headers).toMatchObject({
      'content-type': text ? 'application/grpc-web-text+proto' : 'application/grpc-web+proto',
      'x-served-by': 'aggregate/s1',
      'grpc-status': '0',
    });
    expect(answerOf(answer)).toMatchObject({ command_id: `web-${text}`, version: '1' });
    const denied = await sendGrpcWeb(
      port,
      { method: 'POST', path: '/some.Service/Call', headers: headers(), body: encode(fields) },
      text,
    );
    expect([denied.status, denied.headers['grpc-status'], denied.headers['x-gateway-error']]).toEqual([
      200,
      '5',
      'not_found',
    ]);
    expect(denied.headers).not.toHaveProperty('x-gateway-grpc-status');
  });
});

describe('a large command', () => {
  const sized = (bytes: number) => ({ ...PLACE, payload: { text: 'x'.repeat(bytes) } });

  it.each([40_000, 900_000])('of %i bytes is served in every form', async (bytes) => {
    const fields = { aggregate_type: 'order', aggregate_id: `l${bytes}`, ...sized(bytes) };
    expect((await byJson(`l${bytes}`, sized(bytes), { 'x-command-id': `json-${bytes}` })).status).toBe(200);
    expect((await byGrpc(`l${bytes}`, { ...sized(bytes), command_id: `grpc-${bytes}` })).error).toBeUndefined();
    for (const text of [false, true]) {
      const web = await byWeb(encode({ ...fields, command_id: `${text}-${bytes}` }), { text });
      expect([web.headers['grpc-status'], web.headers['x-gateway-error']]).toEqual(['0', undefined]);
    }
  });
});

describe('what is not UTF-8', () => {
  const text = (field: number): Buffer => Buffer.from([(field << 3) | 2, 2, 0x61, 0xff]);
  const whole = { aggregate_type: 'order', aggregate_id: 'utf8', command_id: 'utf8', command_type: 'order.place' };

  it.each([
    ['aggregate_type', 1],
    ['aggregate_id', 2],
    ['command_id', 3],
    ['command_type', 4],
  ])('in %s reaches no node, by gRPC and by gRPC-Web', async (_, field) => {
    const body = Buffer.concat([encode(whole), text(field)]);
    const request = { method: 'POST', path: COMMAND_GRPC_PATH, headers: headers(), body };
    for (const answer of [await sendGrpc(port, request), await byWeb(body)]) {
      expect(answer.headers).toMatchObject({ 'grpc-status': '3', 'x-gateway-error': 'request_malformed' });
      expect(answer.headers).not.toHaveProperty('x-served-by');
    }
  });

  it.each([
    ['a value', '{"command_id":"u","command_type":"a","payload":{"x":"~"}}'],
    ['a name', '{"command_id":"u","command_type":"a","payload":{"~":1}}'],
    ['the id', '{"command_id":"~","command_type":"a"}'],
    ['half a surrogate pair', '{"command_id":"u","command_type":"a","payload":{"x":"\\ud800"}}'],
  ])('as %s of JSON reaches no node', async (_, json) => {
    const body = Buffer.from(json);
    const at = body.indexOf('~');
    if (at >= 0) body[at] = 0xff;
    const path = '/v1/commands/order/utf8';
    const answer = await sendHttp1(port, { method: 'POST', path, headers: headers(), body });
    expect([answer.status, answer.headers['x-gateway-error']]).toEqual([400, 'validation_failed']);
    expect(answer.headers).not.toHaveProperty('x-served-by');
  });
});

describe('errors of the node', () => {
  it('reach JSON clients as google.rpc.Status with their details, and gRPC clients as they are', async () => {
    const failing = { command_id: 'failing', command_type: 'test.fail.ABORTED' };
    const json = await byJson('failing', failing);
    expect(json.status).toBe(409);
    expect(json.headers.get('content-type')).toBe('application/json');
    expect(json.body).toMatchObject({
      code: status.ABORTED,
      message: expect.stringContaining('asked for'),
      details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'TEST_FAILURE' }],
    });
    const { error } = await byGrpc('failing', failing);
    expect([error?.code, error?.metadata.get('grpc-status-details-bin')]).toEqual([
      status.ABORTED,
      [expect.any(Buffer)],
    ]);
    expect(error?.metadata.get('x-gateway-error')).toEqual([]);
  });
});

describe('the trace', () => {
  const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';
  it.each([
    ['none', {}, undefined],
    ['a parent', { traceparent: `${PARENT}-01` }, undefined],
    ['a parent and a state', { traceparent: `${PARENT}-00`, tracestate: 'a=b' }, 'a=b'],
    ['a state without a parent', { tracestate: 'a=b' }, undefined],
  ] as const)('of a caller with %s goes on at the node, with no empty state', async (_, sent, state) => {
    const answer = await ask(http, '/v1/query/orders', { body: {}, headers: headers(sent) });
    const seen = Object(answer.body['headers']);
    expect(seen.traceparent).toBe(answer.headers.get('traceparent'));
    expect(seen.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    if ('traceparent' in sent) {
      expect(seen.traceparent.slice(0, 35)).toBe(PARENT.slice(0, 35));
      expect(seen.traceparent.slice(-2)).toBe(sent.traceparent.slice(-2));
      expect(seen.traceparent).not.toContain('b7ad6b7169203331');
    }
    expect(seen.tracestate).toBe(state);
  });
});
