import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { makeAuthority, makeServerCertificate } from '../../src/launcher/data/make-certificates.ts';
import { edgeListeners, edgeSecret, TRANSLATORS } from '../../xds/resources.ts';
import { routeConfiguration } from '../../xds/translate/routes/route-config.ts';
import { DESCRIPTORS, type Edge, startEdge } from '../protocol/xds/rig/edge.ts';
import { writeEnvoySecrets } from '../support/generators/internal-certificates.ts';
import { snapshotOf } from '../support/routing.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { toolPath } from '../support/tools.ts';
import { until } from '../support/wait.ts';

const BOOTSTRAP = new URL('../../envoy/bootstrap.yaml', import.meta.url);

/** Envoy's own check of a configuration; what it says about a bad one. */
async function validate(file: string): Promise<string> {
  const run = promisify(execFile);
  const args = ['--mode', 'validate', '-c', file, '--use-dynamic-base-id', '-l', 'error'];
  return run(toolPath('envoy'), args).then(
    ({ stdout }) => stdout,
    (error: Error & { readonly stderr?: string }) => {
      throw new Error(error.stderr ?? error.message);
    },
  );
}

describe('envoy --mode validate', () => {
  it('accepts the shipped bootstrap as it stands', async () => {
    await using folder = await tempFolder();
    const bootstrap = parse(await readFile(BOOTSTRAP, 'utf8'));
    // What it needs from the machine: a folder for the admin socket, and Envoy's certificate.
    const path = bootstrap.admin.address.pipe?.path;
    if (path !== undefined) bootstrap.admin.address.pipe.path = join(folder.path, 'admin.sock');
    const file = join(folder.path, 'bootstrap.json');
    await writeEnvoySecrets(folder.path);
    await writeFile(file, JSON.stringify(bootstrap).replaceAll('/etc/envoy/', `${folder.path}/`));
    await validate(file);
  });

  it('accepts everything we generate, put together as one static configuration', async () => {
    await using folder = await tempFolder();
    const file = join(folder.path, 'static.json');
    await writeFile(file, JSON.stringify(await staticConfiguration(folder.path)));
    await validate(file);
  });

  it('would find a mistake', async () => {
    await using folder = await tempFolder();
    const config = await staticConfiguration(folder.path);
    config.static_resources.clusters.pop();
    config.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters.pop();
    const file = join(folder.path, 'static.json');
    await writeFile(file, JSON.stringify(config));
    await expect(validate(file)).rejects.toThrow(/terminal/);
  });
});

/** The bootstrap without ADS: listeners with their routes inside, clusters with their endpoints, the certificate. */
async function staticConfiguration(folder: string) {
  const bootstrap = parse(await readFile(BOOTSTRAP, 'utf8'));
  const { shards } = snapshotOf({
    aggregate_placement: {},
    projection_placement: {},
    runner_placement: {},
    aggregate_shards: {
      s1: { endpoints: [{ address: '10.0.0.1', port: 1 }] },
      s2: { endpoints: [{ address: 'a.b', port: 1 }] },
    },
    projection_shards: { s1: { endpoints: [], health: { path: '/ready' } } },
    runner_shards: {},
  });
  const validity = { notBefore: new Date(), notAfter: new Date(Date.now() + 3_600_000) };
  const { certificate, key } = await makeServerCertificate(await makeAuthority(validity), validity);
  await mkdir(folder, { recursive: true });
  const listeners = edgeListeners({
    address: '127.0.0.1',
    port: 18_080,
    tlsPort: 18_443,
    accessLogPath: join(folder, 'access.log'),
    descriptors: DESCRIPTORS,
  }).map(({ json }) => structuredClone(Object(json)));
  for (const listener of listeners) {
    const manager = listener.filter_chains[0].filters[0].typed_config;
    delete manager.rds;
    manager.route_config = { ...routeConfiguration(ENDPOINTS, 1), validate_clusters: false };
    const secrets =
      listener.filter_chains[0].transport_socket?.typed_config.common_tls_context.tls_certificate_sds_secret_configs;
    if (secrets !== undefined) secrets[0] = { name: secrets[0].name };
  }
  const clusters = (['aggregate', 'projection', 'runner'] as const).flatMap((kind) =>
    [...shards[kind]].map(([name, shard]) => {
      const { eds_cluster_config: _, ...cluster } = Object(TRANSLATORS.translateCluster(kind, name, shard).json);
      const endpoints = TRANSLATORS.translateEndpoints(kind, name, shard);
      return endpoints === undefined ? cluster : { ...cluster, type: 'STATIC', load_assignment: endpoints.json };
    }),
  );
  return {
    node: bootstrap.node,
    layered_runtime: bootstrap.layered_runtime,
    overload_manager: bootstrap.overload_manager,
    static_resources: {
      listeners,
      clusters: [...withoutTls(bootstrap.static_resources.clusters), ...clusters],
      secrets: [edgeSecret(certificate, key).json],
    },
  };
}

const withoutTls = (clusters: readonly object[]) =>
  clusters.map((cluster) => ({ ...cluster, transport_socket: undefined }));

describe('a real Envoy on the shipped bootstrap', () => {
  let edge: Edge;
  beforeAll(async () => {
    edge = await startEdge();
  });
  afterAll(() => edge?.[Symbol.asyncDispose]());

  it('takes everything over and says so to the server', async () => {
    await until(() => edge.controlPlane.envoys()[0]?.acked === 1, { deadlineMs: 10_000, what: 'the acknowledgement' });
    expect(edge.controlPlane.envoys()).toMatchObject([{ node: 'edge-1', stamp: 1, rejected: [] }]);
    for (const stat of ['cluster_manager.cds', 'listener_manager.lds', 'http.edge.rds.gateway', 'sds.edge']) {
      expect([stat, await edge.envoy.stat(`${stat}.update_success`)]).toEqual([stat, 1]);
      expect([stat, await edge.envoy.stat(`${stat}.update_rejected`)]).toEqual([stat, 0]);
    }
    expect(await edge.envoy.stat('cluster_manager.warming_clusters')).toBe(0);
    expect(await edge.envoy.stat('listener_manager.total_listeners_active')).toBe(2);
  });

  it('shows it in its own dump, versions and all', async () => {
    const dump = JSON.parse(await edge.envoy.admin('/config_dump?include_eds'));
    const section = (type: string) => dump.configs.find((each: { '@type': string }) => each['@type'].endsWith(type));
    const clusters: { readonly cluster: { readonly name: string } }[] =
      section('ClustersConfigDump').dynamic_active_clusters;
    expect(clusters.map(({ cluster }) => cluster.name).toSorted()).toEqual([
      'aggregate/s1',
      'projection/s1',
      'runner/s1',
    ]);
    const listeners: { readonly name: string; readonly active_state: object }[] =
      section('ListenersConfigDump').dynamic_listeners;
    expect(listeners.map(({ name, active_state }) => [name, active_state !== undefined]).toSorted()).toEqual([
      ['edge-plain', true],
      ['edge-tls', true],
    ]);
    expect(section('.RoutesConfigDump').dynamic_route_configs[0]).toMatchObject({
      version_info: expect.stringMatching(/^1-[0-9a-f]{16}$/),
      route_config: { name: 'gateway' },
    });
    expect(section('EndpointsConfigDump').dynamic_endpoint_configs).toHaveLength(3);
    expect(JSON.stringify(section('BootstrapConfigDump').bootstrap)).toContain('"set_node_on_first_message_only":true');
  });

  it('keeps serving when the server is gone', async () => {
    await edge.ads[Symbol.asyncDispose]();
    await until(async () => (await edge.envoy.stat('control_plane.connected_state')) === 0, {
      deadlineMs: 10_000,
      what: 'Envoy to notice',
    });
    const response = await fetch(`${edge.http}/v1/query/x`, {
      method: 'POST',
      headers: { 'x-tenant-id': 'acme' },
      body: '{}',
    });
    expect([response.status, response.headers.get('x-served-by')]).toEqual([200, 'projection/s1']);
  });
});
