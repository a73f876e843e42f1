import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNodeProcess } from '../../nodes/start-node.ts';
import { freePort } from '../../support/free-port.ts';
import { toolPath } from '../../support/tools.ts';
import { until } from '../../support/wait.ts';

const DESCRIPTOR_SET = new URL('../../../proto/command-service.binpb', import.meta.url);
const typed = (type: string, members: object = {}) => ({ '@type': `type.googleapis.com/${type}`, ...members });

/** Envoy alone, its JSON transcoder with the published descriptor set in front of one aggregate node. */
const clean = new AsyncDisposableStack();
let origin = '';

beforeAll(async () => {
  const node = clean.use(await startNodeProcess('aggregate', 's1'));
  const folder = await mkdtemp(join(tmpdir(), 'gateway-transcoding-'));
  clean.defer(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const config = join(folder, 'envoy.json');
  await writeFile(
    config,
    JSON.stringify(bootstrap(port, node.port, (await readFile(DESCRIPTOR_SET)).toString('base64'))),
  );
  const envoy = spawn(toolPath('envoy'), ['-c', config, '--use-dynamic-base-id', '--concurrency', '1', '-l', 'error'], {
    stdio: 'ignore',
  });
  clean.defer(async () => {
    const ended = once(envoy, 'exit');
    envoy.kill('SIGTERM');
    await ended;
  });
  origin = `http://127.0.0.1:${port}`;
  await until(() => fetch(origin), { deadlineMs: 30_000, what: 'Envoy to listen' });
});
afterAll(() => clean.disposeAsync());

const post = (path: string, body: object) =>
  fetch(`${origin}/v1/commands/${path}`, {
    method: 'POST',
    headers: { 'x-tenant-id': 'acme', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

describe('command-service.binpb in the transcoder of a real Envoy', () => {
  it('maps POST /v1/commands/{aggregate_type}/{aggregate_id} to SubmitCommand and back', async () => {
    const response = await post('order/o1', {
      command_id: 'c1',
      command_type: 'place',
      payload: { a: [1, null] },
      expected_version: '0',
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-served-by')).toBe('aggregate/s1');
    expect(await response.json()).toEqual({
      command_id: 'c1',
      version: '1',
      events: [
        {
          event_id: expect.any(String),
          event_type: 'place.recorded',
          sequence: '1',
          payload: { a: [1, null] },
          recorded_at: expect.stringMatching(/^\d{4}-/),
        },
      ],
    });
  });

  it('holds the types of the error details, so that they reach JSON clients', async () => {
    const response = await post('order/o2', { command_id: 'c2', command_type: 'place', expected_version: '5' });
    expect(response.status).toBe(409);
    expect(response.headers.get('x-served-by')).toBe('aggregate/s1');
    expect(await response.json()).toMatchObject({
      code: 10,
      details: [{ reason: 'VERSION_MISMATCH', metadata: { expected_version: '5', actual_version: '0' } }],
    });
  });
});

function bootstrap(port: number, upstreamPort: number, descriptorSet: string): object {
  const socket = (port_value: number) => ({ socket_address: { address: '127.0.0.1', port_value } });
  const filters = 'envoy.extensions.filters.http';
  const connectionManager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'edge',
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'node' } }] },
      ],
    },
    http_filters: [
      {
        name: 'transcoder',
        typed_config: typed(`${filters}.grpc_json_transcoder.v3.GrpcJsonTranscoder`, {
          proto_descriptor_bin: descriptorSet,
          services: ['aggregate.gateway.v1.CommandService'],
          print_options: { preserve_proto_field_names: true, always_print_primitive_fields: true },
          convert_grpc_status: true,
        }),
      },
      { name: 'router', typed_config: typed(`${filters}.router.v3.Router`) },
    ],
  });
  const httpOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  return {
    static_resources: {
      listeners: [
        {
          name: 'edge',
          address: socket(port),
          filter_chains: [{ filters: [{ name: 'hcm', typed_config: connectionManager }] }],
        },
      ],
      clusters: [
        {
          name: 'node',
          type: 'STATIC',
          typed_extension_protocol_options: {
            [httpOptions]: typed(httpOptions, { explicit_http_config: { http2_protocol_options: {} } }),
          },
          load_assignment: {
            cluster_name: 'node',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(upstreamPort) } }] }],
          },
        },
      ],
    },
  };
}
