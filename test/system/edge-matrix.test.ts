import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/edge-client.ts';
import { until } from '../support/wait.ts';
import { observe, type Protocol, type Seen } from './edge-matrix/observe.ts';
import {
  answeredByNodes,
  beyondLimits,
  brokenShards,
  decided,
  nothingWrong,
  type Producers,
  ready,
  refusedByApi,
  refusedByEnvoy,
  refusedEarly,
  served,
  signUpWithout,
  toBusyShards,
} from './edge-matrix/producers.ts';
import { errorTable, idTable, replaceGenerated } from './edge-matrix/tables.ts';
import { frozen, spend, startWorld, type World, whileBusy } from './edge-matrix/world.ts';

/**
 * Every producer of errors that can be caused, in every protocol, through the real gateway. What is seen is written as
 * tables, which are part of docs/errors.md and docs/correlation.md: `vitest -u` rewrites them, and the difference is
 * what has changed for clients. That an answer agrees with itself and tells nothing about what is behind the gateway is
 * demanded of each (observe.ts).
 */
let world: World;
const matrix = new Map<string, ReadonlyMap<Protocol, Seen>>();

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

async function see(producers: Producers): Promise<void> {
  for (const [name, asked] of Object.entries(producers)) await seeOne(name, asked);
}

/** For those that take their time. */
async function seeTogether(producers: Producers): Promise<void> {
  // The rows stand in the order of the list, whoever is first.
  for (const name of Object.keys(producers)) matrix.set(name, new Map());
  await Promise.all(Object.entries(producers).map(([name, asked]) => seeOne(name, asked)));
}

async function seeOne(name: string, asked: Producers[string]): Promise<void> {
  const seen = await observe(world.port, asked).catch((error: unknown) => {
    throw new Error(`${name}: ${String(error)}`, { cause: error });
  });
  matrix.set(name, seen);
}

describe('errors are what the gateway says they are', () => {
  it('nothing is wrong', () => see(nothingWrong(world)));
  it('refused before anybody reads the request', () => see(refusedEarly()));
  it('refused by Envoy', () => see(refusedByEnvoy(world)));
  it('refused by the decision', () => see(decided(world)));
  it('refused by the API', () => see(refusedByApi(world)));
  it('refused by limits', async () => {
    await spend(world);
    await see(beyondLimits(world));
  });
  it('answered by nodes', () => see(answeredByNodes(world)));
  it('shards in trouble', () => seeTogether(brokenShards(world)));

  it('shards that are busy', () => whileBusy(world, () => see(toBusyShards(world))));

  it('a draining Envoy', async () => {
    const { envoyAdmin } = await world.gateway.run();
    await fetch(`${envoyAdmin}/healthcheck/fail`, { method: 'POST' });
    await see(ready('a draining Envoy is asked whether it is ready'));
    await fetch(`${envoyAdmin}/healthcheck/ok`, { method: 'POST' });
  });

  it('a decision service that does not answer', () =>
    frozen(world, 'authz', () => seeTogether(served(world, 'the decision service does not answer'))));

  it('a decision service that is dead', async () => {
    const { http } = await world.gateway.run();
    const query = { token: world.member.token, tenant: 'acme', body: {} };
    await until(async () => (await ask(http, '/v1/query/orders', query)).status === 200, {
      deadlineMs: 30_000,
      what: 'the decision service to answer again',
    });
    const previous = await world.gateway.kill('authz');
    await seeTogether(served(world, 'the decision service is dead'));
    await world.gateway.restarted('authz', previous);
    await until(async () => (await ask(http, '/ready')).status === 200, { deadlineMs: 30_000, what: 'ready' });
  });

  it('a storage that does not answer', () =>
    frozen(world, 'nats', () => seeTogether(signUpWithout('the storage does not answer'))));
});

describe('the documents say what was seen', () => {
  const path = (name: string) => new URL(`../../docs/${name}.md`, import.meta.url);
  it.each([
    ['errors', errorTable],
    ['correlation', idTable],
  ] as const)('docs/%s.md', async (name, write) => {
    // Half a table would look like a change.
    expect([...matrix].filter(([, row]) => row.size === 0).map(([producer]) => producer)).toEqual([]);
    const document = replaceGenerated(await readFile(path(name), 'utf8'), write(matrix));
    await expect(document).toMatchFileSnapshot(path(name).pathname);
  });
});
