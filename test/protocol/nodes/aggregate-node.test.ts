import { fromBinary, type JsonObject, toJson } from '@bufbuild/protobuf';
import { Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { messageType } from '#platform/proto-registry.ts';
import { type CallResult, CommandClient, loadCommandProtocol } from '../../nodes/aggregate/command-service.ts';
import { type NodeProcess, startNodeProcess } from '../../nodes/start-node.ts';

const protocol = loadCommandProtocol();
let node: NodeProcess;
let client: CommandClient;
let made = 0;

beforeAll(async () => {
  node = await startNodeProcess('aggregate', 's7');
  client = new CommandClient(node.address, protocol);
});
afterAll(async () => {
  client[Symbol.dispose]();
  expect(await node.stop()).toBe(0);
});

const metadataOf = (entries: Readonly<Record<string, string>>): Metadata => {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
};

/** A command with an id of its own, on an aggregate of its own unless told otherwise. */
function command(overrides: JsonObject = {}): JsonObject {
  made += 1;
  return {
    aggregate_type: 'order',
    aggregate_id: `o${made}`,
    command_id: `c${made}`,
    command_type: 'order.place',
    ...overrides,
  };
}

const submit = (
  request: JsonObject,
  metadata: Readonly<Record<string, string>> = { 'x-tenant-id': 'acme' },
): Promise<CallResult> => client.submit(request, metadataOf(metadata));

/** The google.rpc details of a failed call, as JSON. */
function detailsOf(result: CallResult): unknown {
  const [bytes] = result.error?.metadata.get('grpc-status-details-bin') ?? [];
  if (!(bytes instanceof Buffer)) return undefined;
  const type = messageType(protocol.registry, 'google.rpc.Status');
  return Object(toJson(type, fromBinary(type, bytes), { registry: protocol.registry })).details;
}

describe('SubmitCommand', () => {
  it('records one event per command, with its payload, and says who served', async () => {
    const payload = { sku: 'a', count: 2, gift: true, note: null, lines: [{ n: 1.5 }, 'x'] };
    const first = command({ payload });
    const { response, headers } = await submit(first);
    expect(response).toMatchObject({
      command_id: first['command_id'],
      version: '1',
      events: [{ event_type: 'order.place.recorded', sequence: '1', payload }],
    });
    expect(Object(response).events[0].recorded_at).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect(headers?.get('x-served-by')).toEqual(['aggregate/s7']);
    const second = await submit(command({ aggregate_id: first['aggregate_id'] ?? '' }));
    expect(second.response).toMatchObject({ version: '2', events: [{ sequence: '2', payload: {} }] });
  });

  it('answers a repeat as the first time and records nothing twice', async () => {
    const once = command();
    const first = await submit(once);
    expect((await submit(once)).response).toEqual(first.response);
    const next = await submit(command({ aggregate_id: once['aggregate_id'] ?? '' }));
    expect(next.response).toMatchObject({ version: '2' });
    const history = await submit(command({ aggregate_id: once['aggregate_id'] ?? '', command_type: 'test.history' }));
    expect(history.response).toMatchObject({ version: '2', events: [{ sequence: '1' }, { sequence: '2' }] });
  });

  it('keeps tenants apart: the same ids mean something else in another tenant', async () => {
    const same = command();
    await submit(same);
    const other = await submit(same, { 'x-tenant-id': 'globex' });
    expect(other.response).toMatchObject({ version: '1', events: [{ sequence: '1' }] });
  });

  it('aborts at another version than expected, with both in the details', async () => {
    const first = command({ expected_version: '0' });
    expect((await submit(first)).response).toMatchObject({ version: '1' });
    const late = await submit(command({ aggregate_id: first['aggregate_id'] ?? '', expected_version: '0' }));
    expect(late.error?.code).toBe(status.ABORTED);
    expect(detailsOf(late)).toEqual([
      expect.objectContaining({ reason: 'VERSION_MISMATCH', metadata: { expected_version: '0', actual_version: '1' } }),
    ]);
    expect(late.error?.metadata.get('x-served-by')).toEqual(['aggregate/s7']);
    expect(late.headers?.get('x-served-by') ?? []).toEqual([]);
  });

  it('refuses a command id that was used for another command', async () => {
    const first = command();
    await submit(first);
    const reused = await submit(command({ command_id: first['command_id'] ?? '' }));
    expect(reused.error?.code).toBe(status.ALREADY_EXISTS);
  });

  it('names every field that breaks its rule', async () => {
    const broken = await submit(command({ aggregate_type: '', command_id: 'a b' }));
    expect(broken.error?.code).toBe(status.INVALID_ARGUMENT);
    expect(detailsOf(broken)).toEqual([
      expect.objectContaining({
        fieldViolations: [
          expect.objectContaining({ field: 'aggregate_type', reason: 'STRING_PATTERN' }),
          expect.objectContaining({ field: 'command_id', reason: 'STRING_PATTERN' }),
        ],
      }),
    ]);
  });

  it('demands exactly one valid tenant', async () => {
    const twice = metadataOf({ 'x-tenant-id': 'acme' });
    twice.add('x-tenant-id', 'globex');
    for (const metadata of [new Metadata(), metadataOf({ 'x-tenant-id': 'No!' }), twice]) {
      const { error } = await client.submit(command(), metadata);
      expect(error?.code).toBe(status.INVALID_ARGUMENT);
    }
  });

  it('refuses a placement epoch older than the newest it saw for the tenant', async () => {
    const at = (epoch: string, tenant = 'fenced') =>
      submit(command(), { 'x-tenant-id': tenant, 'x-placement-epoch': epoch });
    expect((await at('7')).error).toBeUndefined();
    const stale = await at('6');
    expect(stale.error?.code).toBe(status.FAILED_PRECONDITION);
    expect(stale.error?.details).toContain('placement epoch 6 of tenant fenced is older than 7');
    expect(stale.error?.metadata.get('x-placement-epoch')).toEqual(['7']);
    expect(detailsOf(stale)).toEqual([
      expect.objectContaining({
        violations: [expect.objectContaining({ type: 'PLACEMENT_EPOCH', subject: 'tenants/fenced' })],
      }),
    ]);
    expect((await at('7')).error).toBeUndefined();
    expect((await at('1', 'unfenced')).error).toBeUndefined();
    expect((await at('seven')).error?.code).toBe(status.INVALID_ARGUMENT);
  });
});

describe('test commands', () => {
  it('test.fail.<GRPC_CODE> answers that status with details and records nothing', async () => {
    const failing = command({ command_type: 'test.fail.UNAVAILABLE' });
    const failed = await submit(failing);
    expect(failed.error?.code).toBe(status.UNAVAILABLE);
    expect(detailsOf(failed)).toEqual([expect.objectContaining({ reason: 'TEST_FAILURE' })]);
    const next = await submit(command({ aggregate_id: failing['aggregate_id'] ?? '' }));
    expect(next.response).toMatchObject({ version: '1' });
    expect((await submit(command({ command_type: 'test.fail.NONSENSE' }))).error?.code).toBe(status.INVALID_ARGUMENT);
    expect((await submit(command({ command_type: 'test.fail.OK' }))).error?.code).toBe(status.INVALID_ARGUMENT);
  });

  it('test.delay.<ms> delays, and a caller that has given up leaves nothing behind', async () => {
    const begun = performance.now();
    expect((await submit(command({ command_type: 'test.delay.200' }))).response).toMatchObject({ version: '1' });
    expect(performance.now() - begun).toBeGreaterThanOrEqual(195);
    const abandoned = command({ command_type: 'test.delay.5000' });
    const given = await client.submit(abandoned, metadataOf({ 'x-tenant-id': 'acme' }), { deadlineMs: 100 });
    expect(given.error?.code).toBe(status.DEADLINE_EXCEEDED);
    const next = await submit(command({ aggregate_id: abandoned['aggregate_id'] ?? '' }));
    expect(next.response).toMatchObject({ version: '1' });
    expect((await submit(command({ command_type: 'test.delay.30001' }))).error?.code).toBe(status.INVALID_ARGUMENT);
  });
});

it('is healthy by grpc.health.v1', async () => {
  expect((await client.checkHealth(new Metadata())).response).toEqual({ status: 'SERVING' });
});

it('ends running calls on SIGTERM, takes no new ones, and exits with 0', async () => {
  const own = await startNodeProcess('aggregate', 's8');
  using other = new CommandClient(own.address, protocol);
  const running = other.submit(command({ command_type: 'test.delay.600' }), metadataOf({ 'x-tenant-id': 'acme' }));
  await other.checkHealth(new Metadata());
  const stopped = own.stop();
  expect((await running).response).toMatchObject({ version: '1' });
  expect(await stopped).toBe(0);
  expect((await other.submit(command(), metadataOf({ 'x-tenant-id': 'acme' }))).error?.code).toBe(status.UNAVAILABLE);
});
