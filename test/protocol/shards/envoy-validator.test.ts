import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import type { Shard } from '#domain/routing/types.ts';
import type { ChangedShard } from '#domain/routing/validation/shard-validation.ts';
import { loadRegistry } from '#platform/proto-registry.ts';
import { createMessageEncoder } from '../../../xds/encode.ts';
import { translatorsWith } from '../../../xds/resources.ts';
import { loadAssignment } from '../../../xds/translate/cluster/endpoint.ts';
import { SECRETS_FOLDER } from '../../../xds/validator/bootstrap.ts';
import type { Translators } from '../../../xds/validator/candidate.ts';
import { EnvoyValidator } from '../../../xds/validator/envoy-validator.ts';
import { envoyRunner, type RunEnvoy } from '../../../xds/validator/run-envoy.ts';
import { silentLog } from '../../support/nats.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { toolPath } from '../../support/tools.ts';
import { until } from '../../support/wait.ts';

/** The validator with the real Envoy, and with binaries that are none. */

const stack = new AsyncDisposableStack();
let folder: string;
let registry: ReturnType<typeof loadRegistry>;

beforeAll(async () => {
  folder = stack.use(await tempFolder()).path;
  registry = loadRegistry([await readFile(new URL('../../../proto/envoy-api.binpb', import.meta.url))]);
});
afterAll(() => stack.disposeAsync());

/** A validator with this binary, and how many processes it has started. */
function validatorOf(file: string, changes: Partial<Translators> = {}) {
  const run = envoyRunner(file);
  const counted = { runs: 0 };
  const counting: RunEnvoy = (bootstrap, options) => {
    counted.runs += 1;
    return run(bootstrap, options);
  };
  const tls = translatorsWith({ required: false, secretsFolder: SECRETS_FOLDER });
  const translators = { ...tls, encode: createMessageEncoder(registry), ...changes };
  const validator = stack.use(new EnvoyValidator({ translators, run: counting, log: silentLog }));
  return { validator, counted };
}

async function script(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

const shardOf = (address: string, more: Partial<Shard> = {}): Shard => ({
  endpoints: [{ address, port: 9_000, weight: 1 }],
  protocol: 'http1',
  ...more,
});
const changed = (name: string, shard: Shard): ChangedShard => ({ kind: 'projection', name, shard });
const many = (count: number) => Array.from({ length: count }, (_, index) => changed(`s${index}`, shardOf('10.0.0.1')));

/** What Envoy refuses although it is what its API allows: it is the parser that lets no such shard pass. */
const GRPC_CHECK_OVER_HTTP1 = shardOf('10.0.0.2', { health: { grpc: { service: '' } } });

describe('with the real Envoy', () => {
  it('shards of every form are valid, and are not asked about again', async () => {
    const { validator, counted } = validatorOf(toolPath('envoy'));
    const shards = [
      ...many(50),
      changed('v6', shardOf('2001:db8::1', { health: { path: '/health' }, slowStartMs: 5_000 })),
      changed('name', shardOf('nodes.internal', { protocol: 'h2', health: { grpc: { service: 'x' } } })),
      changed('empty', { endpoints: [], protocol: 'http1', outlierDetection: false }),
      // No certificate is needed where the validator runs.
      changed('tls', shardOf('10.0.0.3', { tls: { serverName: 'nodes.internal' } })),
    ];
    expect(await validator.validate(shards)).toEqual({ state: 'valid' });
    expect(counted.runs).toBe(1);
    expect(await validator.validate(shards.toReversed())).toEqual({ state: 'valid' });
    expect(counted.runs).toBe(1);
  });

  it('names two that Envoy refuses among 50, with its own words', async () => {
    const { validator } = validatorOf(toolPath('envoy'));
    const shards = many(50);
    shards.splice(31, 0, changed('bad', GRPC_CHECK_OVER_HTTP1));
    shards.splice(7, 0, changed('worse', GRPC_CHECK_OVER_HTTP1));
    const verdict = await validator.validate(shards);
    const refused = ['worse', 'bad'].map((name) => ({
      ...{ kind: 'projection', name },
      error: `projection/${name} cluster must support HTTP/2 for gRPC healthchecking`,
    }));
    expect(verdict).toEqual({ state: 'invalid', refused: expect.arrayContaining(refused) });
    expect(verdict).toHaveProperty('refused.length', 2);
  });

  it('names one that only this Envoy refuses, which lacks an extension', async () => {
    const missing = 'envoy.clusters/envoy.cluster.strict_dns';
    const file = await script('envoy', `exec '${toolPath('envoy')}' "$@" --disable-extensions ${missing}`);
    const verdict = await validatorOf(file).validator.validate([...many(10), changed('bad', shardOf('localhost'))]);
    const error = expect.stringContaining(
      "registered cluster factory implementation for name: 'envoy.cluster.strict_dns'",
    );
    expect(verdict).toEqual({ state: 'invalid', refused: [{ kind: 'projection', name: 'bad', error }] });
  });

  it('looks at endpoints, too, which Envoys get apart from their cluster', async () => {
    const { validator } = validatorOf(toolPath('envoy'), {
      translateEndpoints: (_, name) => ({ name, json: loadAssignment(name, shardOf('no-address')) }),
    });
    const error = expect.stringContaining('malformed IP address: no-address');
    const refused = [{ kind: 'projection', name: 's1', error }];
    expect(await validator.validate([changed('s1', shardOf('10.0.0.1'))])).toEqual({ state: 'invalid', refused });
  });

  it('judges a thousand shards within the limit', async () => {
    const { validator } = validatorOf(toolPath('envoy'));
    expect(await validator.validate(many(1_000))).toEqual({ state: 'valid' });
  });
});

describe('without a working Envoy nothing is said of the shards', () => {
  it('a binary that does not exist', async () => {
    const verdict = await validatorOf(join(folder, 'no-such-file')).validator.validate(many(1));
    expect(verdict).toEqual({ state: 'unavailable', detail: 'Envoy cannot be run (ENOENT)' });
  });

  it('a file that cannot be executed', async () => {
    const file = join(folder, 'plain');
    await writeFile(file, 'text');
    expect(await validatorOf(file).validator.validate(many(1))).toMatchObject({ state: 'unavailable' });
  });

  it('another program', async () => {
    const file = await script('true', 'exit 0');
    expect(await validatorOf(file).validator.validate(many(1))).toMatchObject({ state: 'unavailable' });
  });

  it('an Envoy that crashes', async () => {
    const file = await script('crash', 'kill -SEGV $$');
    const detail = 'Envoy was ended by SIGSEGV';
    expect(await validatorOf(file).validator.validate(many(1))).toEqual({ state: 'unavailable', detail });
  });

  it('one that never ends is killed after the limit with all it started, and the next one gets its turn', async () => {
    const pids = join(folder, 'pids');
    const file = await script('hang', `sleep 600 &\necho $$ $! > '${pids}'\nwait`);
    const { validator } = validatorOf(file);
    const beganAtMs = performance.now();
    expect(await validator.validate(many(1))).toMatchObject({ state: 'unavailable' });
    expect(performance.now() - beganAtMs).toBeLessThan(LIMITS.envoyValidationMaxMs + 1_000);
    for (const pid of (await readFile(pids, 'utf8')).trim().split(' ')) {
      await until(() => !isRunning(Number(pid)), { deadlineMs: 5_000, what: `the end of ${pid}` });
    }
    await script('hang', 'exit 1');
    expect(await validator.validate(many(1))).toMatchObject({
      state: 'unavailable',
      detail: expect.stringContaining('exit code 1'),
    });
  });

  it('one that is stopped in between, and no folder is left behind', async () => {
    await using own = await tempFolder();
    vi.stubEnv('TMPDIR', own.path);
    stack.defer(() => void vi.unstubAllEnvs());
    const file = await script('slow', 'exec sleep 600');
    const { validator, counted } = validatorOf(file);
    const verdict = validator.validate(many(1));
    await until(async () => counted.runs === 1 && (await readdir(own.path)).length === 1, {
      deadlineMs: 5_000,
      what: 'the process',
    });
    validator[Symbol.dispose]();
    expect(await verdict).toEqual({ state: 'unavailable', detail: 'the validator was stopped' });
    expect(await readdir(own.path)).toEqual([]);
  });
});

/** A zombie that nobody has waited for yet has ended, too. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
