import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import {
  createServer as createHttp2Server,
  type IncomingHttpHeaders as Http2Headers,
  type ServerHttp2Stream,
} from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { startExtAuthzServer } from '../../../src/authz/ext-authz/server.ts';
import { checkFixture, claimsOf, signToken } from '../../support/check-fixture.ts';
import { freePort } from '../../support/free-port.ts';
import { silentLog } from '../../support/nats.ts';
import { toolPath } from '../../support/tools.ts';
import { until } from '../../support/wait.ts';

/**
 * The real Envoy with the filter settings of the product around our server, so that what we write is what Envoy
 * accepts (`validate_mutations`) and does. The routes are fixed ones: the route table has tests of its own.
 */
interface Ports {
  readonly edge: number;
  readonly admin: number;
  readonly authz: number;
  readonly http: number;
  readonly grpc: number;
}

const TYPE = 'type.googleapis.com/envoy.extensions';
const h2 = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
  },
};
const cluster = (name: string, port: number, isH2: boolean) => ({
  name,
  type: 'STATIC',
  ...(isH2 ? { typed_extension_protocol_options: h2 } : {}),
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
  },
});
const address = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const perRoute = (extensions: object) => ({
  'envoy.filters.http.ext_authz': {
    '@type': `${TYPE}.filters.http.ext_authz.v3.ExtAuthzPerRoute`,
    check_settings: { context_extensions: extensions },
  },
});
const located = (kind: string, prefix: string) => ({
  match: { prefix, headers: [{ name: 'x-gateway-cluster', string_match: { prefix: `${kind}/` } }] },
  route: { cluster_header: 'x-gateway-cluster' },
});
const pending = (prefix: string, target: string) => ({
  match: { prefix },
  route: { cluster_header: 'x-gateway-unset', cluster_not_found_response_code: 'SERVICE_UNAVAILABLE' },
  typed_per_filter_config: perRoute({ target }),
});

const bootstrap = (ports: Ports) => ({
  admin: { address: address(ports.admin) },
  static_resources: {
    listeners: [
      {
        name: 'edge',
        address: address(ports.edge),
        filter_chains: [
          {
            filters: [
              {
                name: 'envoy.filters.network.http_connection_manager',
                typed_config: {
                  '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
                  stat_prefix: 'edge',
                  codec_type: 'AUTO',
                  normalize_path: true,
                  merge_slashes: true,
                  route_config: {
                    virtual_hosts: [
                      {
                        name: 'all',
                        domains: ['*'],
                        typed_per_filter_config: perRoute({ stamp: '7' }),
                        routes: [
                          located('aggregate', '/aggregate.'),
                          located('projection', '/v1/query/'),
                          pending('/aggregate.', 'aggregate'),
                          pending('/v1/query/', 'projection'),
                          pending('/', 'none'),
                        ],
                      },
                    ],
                  },
                  http_filters: [
                    {
                      name: 'envoy.filters.http.grpc_web',
                      typed_config: { '@type': `${TYPE}.filters.http.grpc_web.v3.GrpcWeb` },
                    },
                    {
                      name: 'envoy.filters.http.ext_authz',
                      typed_config: {
                        '@type': `${TYPE}.filters.http.ext_authz.v3.ExtAuthz`,
                        transport_api_version: 'V3',
                        grpc_service: { envoy_grpc: { cluster_name: 'authz' }, timeout: '2s' },
                        failure_mode_allow: false,
                        status_on_error: { code: 'ServiceUnavailable' },
                        clear_route_cache: true,
                        validate_mutations: true,
                        encode_raw_headers: true,
                      },
                    },
                    {
                      name: 'envoy.filters.http.router',
                      typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` },
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
    clusters: [
      cluster('authz', ports.authz, true),
      cluster('projection/s1', ports.http, false),
      cluster('aggregate/s1', ports.grpc, true),
    ],
  },
});

const portOf = (server: { address(): unknown }): number => {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null && 'port' in bound ? Number(bound.port) : 0;
};

async function startEnvoy(ports: Ports): Promise<AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-envoy-'));
  const config = join(folder, 'envoy.json');
  const logFile = join(folder, 'envoy.log');
  await writeFile(config, JSON.stringify(bootstrap(ports)));
  const options = ['-c', config, '--concurrency', '1', '--disable-hot-restart', '-l', 'warn', '--log-path', logFile];
  const child = spawn(toolPath('envoy'), options, { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until(
      async () => {
        if (child.exitCode !== null) throw new Error(await readFile(logFile, 'utf8'));
        return (await fetch(`http://127.0.0.1:${ports.admin}/ready`)).ok;
      },
      { deadlineMs: 20_000, what: 'Envoy to be ready' },
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return { [Symbol.asyncDispose]: stop };
}

describe('behind the real Envoy', () => {
  const fixture = checkFixture();
  const stack = new AsyncDisposableStack();
  const seen: { http?: IncomingHttpHeaders; grpc?: Http2Headers } = {};
  let edge = 0;
  const token = (user: string) => signToken(fixture.key, claimsOf(user));

  beforeAll(async () => {
    const http = createServer((request, response) => {
      seen.http = request.headers;
      response.end('{"from":"shard"}');
    }).listen(0, '127.0.0.1');
    const grpc = createHttp2Server().listen(0, '127.0.0.1');
    grpc.on('stream', (stream: ServerHttp2Stream, headers: Http2Headers) => {
      seen.grpc = headers;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
    });
    stack.defer(() => void http.close().closeAllConnections());
    stack.defer(() => void grpc.close());
    await Promise.all([once(http, 'listening'), once(grpc, 'listening')]);
    const server = await startExtAuthzServer({
      listen: { host: '127.0.0.1', port: 0 },
      check: fixture.check,
      routing: fixture.keeper,
      canDecide: () => true,
      log: silentLog,
    });
    stack.use(server);
    const authz = Number(server.address.split(':').at(-1));
    edge = await freePort();
    stack.use(await startEnvoy({ edge, admin: await freePort(), authz, http: portOf(http), grpc: portOf(grpc) }));
  });
  afterAll(async () => stack.disposeAsync());

  const query = (headers: Record<string, string>, path = '/v1/query/orders', method = 'POST') =>
    fetch(`http://127.0.0.1:${edge}${path}`, { method, headers });

  it('an allowed query reaches its shard with our headers and without credentials', async () => {
    const response = await query({
      authorization: `Bearer ${token('usr_member')}`,
      cookie: 'session=secret',
      'x-tenant-id': 'acme',
      'x-principal-id': 'usr_forged',
      'x-placement-epoch': '99',
    });
    expect([response.status, await response.json()]).toEqual([200, { from: 'shard' }]);
    expect(seen.http).toMatchObject({
      'x-tenant-id': 'acme',
      'x-principal-id': 'usr_member',
      'x-principal-kind': 'user',
      'x-placement-epoch': '7',
      'x-decision-id': expect.stringMatching(/^dec_/),
    });
    expect(seen.http).not.toHaveProperty('authorization');
    expect(seen.http).not.toHaveProperty('cookie');
  });

  it('a denial is a problem document with its status and challenge', async () => {
    const response = await query({ 'x-tenant-id': 'acme', 'x-correlation-id': 'corr-1' });
    expect(response.status).toBe(401);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await response.json()).toMatchObject({
      type: 'urn:gateway:error:token_missing',
      status: 401,
      code: 'token_missing',
      correlation_id: 'corr-1',
      decision_id: response.headers.get('x-decision-id'),
    });
  });

  it.each([
    [{ authorization: 'Bearer x.y.z', 'x-tenant-id': 'acme' }, 401, 'token_invalid'],
    [{ member: 'usr_member' }, 400, 'tenant_missing'],
    [{ member: 'usr_outsider', 'x-tenant-id': 'acme' }, 403, 'tenant_forbidden'],
  ] as const)('%j is answered %d %s', async (given, code, reason) => {
    const { member, ...headers } = { member: undefined, ...given };
    const response = await query({
      ...headers,
      ...(member === undefined ? {} : { authorization: `Bearer ${token(member)}` }),
    });
    expect([response.status, await response.json()]).toMatchObject([code, { code: reason }]);
  });

  it('finds headers that were sent twice', async () => {
    const statusOf = (headers: readonly string[]) =>
      new Promise<number>((resolve, reject) => {
        const options = {
          port: edge,
          method: 'POST',
          path: '/v1/query/orders',
          headers: ['host', 'gateway', ...headers],
        };
        httpRequest(options, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        })
          .once('error', reject)
          .end();
      });
    const authorization = ['authorization', `Bearer ${token('usr_member')}`];
    expect(await statusOf([...authorization, 'x-tenant-id', 'acme'])).toBe(200);
    expect(await statusOf([...authorization, 'x-tenant-id', 'acme', 'x-tenant-id', 'acme'])).toBe(400);
    expect(await statusOf([...authorization, ...authorization, 'x-tenant-id', 'acme'])).toBe(400);
  });

  it('what is on no row of the catalogue is not found, by whatever method', async () => {
    expect((await query({}, '/nothing/here', 'GET')).status).toBe(404);
    const response = await query({}, '/v1/query/orders', 'DELETE');
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
  });

  it('a native gRPC client gets the statuses of the contract', async () => {
    const client = new Client(`127.0.0.1:${edge}`, credentials.createInsecure());
    stack.defer(() => client.close());
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token('usr_member')}`);
    metadata.set('x-tenant-id', 'acme');
    const same = (bytes: Buffer) => bytes;
    const failure = (sent: Metadata) =>
      new Promise<ServiceError | null>((resolve) =>
        client.makeUnaryRequest(COMMAND_GRPC_PATH, same, same, Buffer.alloc(0), sent, (error) => resolve(error)),
      );
    const anonymous = await failure(new Metadata());
    expect(anonymous?.code).toBe(status.UNAUTHENTICATED);
    expect(anonymous?.details).toBe('send an access token as "authorization: Bearer <token>"');
    expect(anonymous?.metadata.get('x-gateway-error')).toEqual(['token_missing']);
    expect(anonymous?.metadata.get('x-decision-id')).toEqual([expect.stringMatching(/^dec_/)]);
    // Without the transcoder and field extraction there is no message to judge: Envoy's own table would say INTERNAL.
    expect((await failure(metadata))?.code).toBe(status.INVALID_ARGUMENT);
    metadata.set('x-tenant-id', 'globex');
    expect((await failure(metadata))?.code).toBe(status.PERMISSION_DENIED);
  });

  it('a gRPC-Web client finds the status in the headers', async () => {
    const response = await query(
      { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' },
      COMMAND_GRPC_PATH,
    );
    // Envoy has made it plain gRPC by the time we see it, and makes our answer gRPC-Web again.
    expect([response.status, response.headers.get('content-type')]).toEqual([401, 'application/grpc-web+proto']);
    expect(response.headers.get('grpc-status')).toBe('16');
    expect(response.headers.get('x-gateway-error')).toBe('token_missing');
  });
});
