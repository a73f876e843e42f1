import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import type { Shard } from '#domain/routing/types.ts';
import type { ChangedShard } from '#domain/routing/validation/shard-validation.ts';
import { loadRegistry } from '#platform/proto-registry.ts';
import { createMessageEncoder } from '../../../../xds/encode.ts';
import { translatorsWith } from '../../../../xds/resources.ts';
import { SECRETS_FOLDER } from '../../../../xds/validator/bootstrap.ts';
import { EnvoyValidator } from '../../../../xds/validator/envoy-validator.ts';
import type { EnvoyRun } from '../../../../xds/validator/judge-run.ts';
import { VerdictCache } from '../../../../xds/validator/verdict-cache.ts';
import { silentLog } from '../../../support/nats.ts';

/** What the validator makes of runs; the runs themselves are values here (test/protocol/shards has the real Envoy). */
const registry = loadRegistry([readFileSync(new URL('../../../../proto/envoy-api.binpb', import.meta.url))]);
const translators = {
  ...translatorsWith({ required: false, secretsFolder: SECRETS_FOLDER }),
  encode: createMessageEncoder(registry),
};
const OK: EnvoyRun = { ended: 'exit', exitCode: 0, output: "configuration 'b' OK\n", errors: '' };
const REFUSED: EnvoyRun = {
  ended: 'exit',
  exitCode: 1,
  output: '',
  errors: "[..] error initializing configuration 'b': no such thing\n",
};

let bootstraps: string[];
beforeEach(() => {
  bootstraps = [];
});

const validatorOf = (answer: (bootstrap: string) => EnvoyRun | Promise<EnvoyRun>) =>
  new EnvoyValidator({
    translators,
    log: silentLog,
    run: async (bootstrap) => {
      bootstraps.push(bootstrap);
      return answer(bootstrap);
    },
  });

const shardOf = (port: number, more: Partial<Shard> = {}): Shard => ({
  endpoints: [{ address: '127.0.0.1', port, weight: 1 }],
  protocol: 'http1',
  ...more,
});
const changed = (name: string, shard = shardOf(9_000)): ChangedShard => ({ kind: 'projection', name, shard });
const refuses = (name: string) => (bootstrap: string) => (bootstrap.includes(`"projection/${name}"`) ? REFUSED : OK);

describe('EnvoyValidator', () => {
  test('asks about the cluster and, apart from it, about its endpoints', async () => {
    expect(await validatorOf(() => OK).validate([changed('s1')])).toEqual({ state: 'valid' });
    const { static_resources: statics } = JSON.parse(bootstraps[0] ?? '');
    expect(statics.clusters.map(({ name, type }: Record<string, unknown>) => [name, type])).toEqual([
      ['xds', 'STATIC'],
      ['projection/s1', 'EDS'],
      ['projection/s1 endpoints', 'STATIC'],
    ]);
  });

  test('names the shard that is refused', async () => {
    const verdict = await validatorOf(refuses('bad')).validate([changed('s1'), changed('bad'), changed('s2')]);
    const refused = [{ kind: 'projection', name: 'bad', error: 'no such thing' }];
    expect(verdict).toEqual({ state: 'invalid', refused });
  });

  test('what was judged once needs no process again, the bad one neither', async () => {
    const validator = validatorOf(refuses('bad'));
    await validator.validate([changed('s1'), changed('bad')]);
    const runs = bootstraps.length;
    expect(await validator.validate([changed('s1')])).toEqual({ state: 'valid' });
    expect(await validator.validate([changed('bad')])).toMatchObject({ state: 'invalid', refused: [{ name: 'bad' }] });
    expect(bootstraps.length).toBe(runs);
    await validator.validate([changed('s1', shardOf(9_001))]);
    expect(bootstraps.length).toBe(runs + 1);
  });

  test('a shard that cannot be encoded is refused without a process', async () => {
    const verdict = await validatorOf(() => OK).validate([changed('s1', shardOf(70_000))]);
    expect(verdict).toMatchObject({
      state: 'invalid',
      refused: [{ name: 's1', error: expect.stringMatching(/port/) }],
    });
    expect(bootstraps).toEqual([]);
  });

  test('an Envoy that refuses whatever it is given refuses no shard', async () => {
    const verdict = await validatorOf(() => REFUSED).validate([changed('s1')]);
    expect(verdict).toEqual({ state: 'unavailable', detail: expect.stringContaining('no such thing') });
  });

  test('an Envoy that does not answer says nothing, and is asked again the next time', async () => {
    let run: EnvoyRun = { ended: 'too_late' };
    const validator = validatorOf(() => run);
    expect(await validator.validate([changed('s1')])).toMatchObject({ state: 'unavailable' });
    run = OK;
    expect(await validator.validate([changed('s1')])).toEqual({ state: 'valid' });
  });

  test('a defect of ours is not a mistake in the shards', async () => {
    const validator = validatorOf(() => Promise.reject(new Error('a bug')));
    expect(await validator.validate([changed('s1')])).toEqual({ state: 'unavailable', detail: 'the validator failed' });
  });

  test('one process at a time; more validations than may wait are turned away', async () => {
    const gate = Promise.withResolvers<EnvoyRun>();
    let running = 0;
    let most = 0;
    const validator = validatorOf(async () => {
      running += 1;
      most = Math.max(most, running);
      const run = await gate.promise;
      running -= 1;
      return run;
    });
    const asked = Array.from({ length: LIMITS.envoyValidationsQueuedMaxCount + 1 }, (_, index) =>
      validator.validate([changed(`s${index}`)]),
    );
    gate.resolve(OK);
    const states = (await Promise.all(asked)).map(({ state }) => state);
    expect(states.filter((state) => state === 'unavailable')).toHaveLength(1);
    expect(states.at(-1)).toBe('unavailable');
    expect(most).toBe(1);
  });
});

test('of the verdicts those used last are kept', () => {
  const cache = new VerdictCache(2);
  cache.put('a', { state: 'valid' });
  cache.put('b', { state: 'valid' });
  cache.get('a');
  cache.put('c', { state: 'valid' });
  expect(['a', 'b', 'c'].map((key) => cache.get(key)?.state)).toEqual(['valid', undefined, 'valid']);
});
