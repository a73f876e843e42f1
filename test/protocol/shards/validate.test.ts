import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { clusterName, SERVICE_KINDS } from '#domain/ids.ts';
import { Mistakes } from '#domain/routing/mistakes.ts';
import { parseShard } from '#domain/routing/parse-shard.ts';
import { shardCluster } from '../../../xds/translate/cluster/cluster.ts';
import { writeEnvoySecrets } from '../../support/generators/internal-certificates.ts';
import { shardsWithTlsOf } from '../../support/generators/shards.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { toolPath } from '../../support/tools.ts';

/** Of each kind, all in one bootstrap. */
const SHARDS_COUNT = 60;

/** Where EDS clusters would get their endpoints; nobody is asked when Envoy only validates. */
const ADS = {
  api_type: 'DELTA_GRPC',
  transport_api_version: 'V3',
  grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
};
const XDS = {
  name: 'xds',
  type: 'STATIC',
  load_assignment: { cluster_name: 'xds' },
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
};

/** Runs `envoy --mode validate` on a bootstrap with these clusters. */
async function validate(clusters: readonly unknown[]): Promise<{ readonly exitCode: number; readonly output: string }> {
  await using folder = await tempFolder();
  const file = join(folder.path, 'bootstrap.json');
  const bootstrap = {
    node: { id: 'validated', cluster: 'edge' },
    dynamic_resources: { ads_config: ADS },
    static_resources: { clusters: [XDS, ...clusters] },
  };
  await writeFile(file, JSON.stringify(bootstrap));
  const args = ['--mode', 'validate', '-c', file, '-l', 'warning', '--concurrency', '1'];
  return await new Promise((resolve) => {
    execFile(toolPath('envoy'), args, { timeout: 50_000 }, (error, stdout, stderr) =>
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? -1), output: stdout + stderr }),
    );
  });
}

it('Envoy takes the cluster of every shard that the parser takes', async () => {
  await using secrets = await tempFolder();
  await writeEnvoySecrets(secrets.path);
  const tls = { required: false, secretsFolder: secrets.path };
  // Any seed will do; that of a failure stands in its message.
  const seed = Math.trunc(Math.random() * 2 ** 31);
  const clusters = SERVICE_KINDS.flatMap((kind) =>
    fc.sample(shardsWithTlsOf(kind), { numRuns: SHARDS_COUNT, seed }).map((value, index) => {
      const mistakes = new Mistakes();
      const shard = parseShard(value, { kind, at: [], mistakes });
      if (shard === undefined) throw new Error(JSON.stringify(mistakes.list()));
      return shardCluster(clusterName(kind, `s${index}`), shard, tls);
    }),
  );
  const { exitCode, output } = await validate(clusters);
  expect({ exitCode, seed, output }).toMatchObject({ exitCode: 0 });
  expect(new Set(output.match(/deprecated option '[^']*'/g))).toEqual(new Set());
});

it('Envoy would refuse the gRPC check of an HTTP/1.1 shard, which the parser keeps away', async () => {
  const shard = { endpoints: [], protocol: 'http1', health: { grpc: { service: '' } } } as const;
  const { exitCode, output } = await validate([shardCluster('runner/s1', shard)]);
  expect(exitCode).toBe(1);
  expect(output).toMatch(/gRPC health checking|HTTP\/2/i);
});
