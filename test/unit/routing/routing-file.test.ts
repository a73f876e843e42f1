import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { stringify as yamlOf } from 'yaml';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { RoutingFile } from '#adapters/routing/routing-file.ts';
import { publishDocument } from '#app/publish-revision.ts';
import { createLog } from '#platform/log.ts';
import { routingDocument } from '../../support/routing.ts';
import { until } from '../../support/wait.ts';

const log = createLog({ service: 'test', level: 'silent' });
const clock = { nowMs: Date.now };
const wait = { deadlineMs: 5_000 };
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function setUp(name: string, content: string) {
  const folder = await mkdtemp(join(tmpdir(), 'gateway-routing-'));
  folders.push(folder);
  const path = join(folder, name);
  await writeFile(path, content);
  const store = createMemoryKeyValueStore();
  const revisions = new RevisionStore({ store, log });
  const publish = (request: { document: unknown; by: string }) => publishDocument({ store: revisions, clock }, request);
  const file = new RoutingFile({ path, publish, store, clock, log });
  const shardOfAcme = async () => (await revisions.head())?.placements.get('acme')?.runner?.shard;
  const status = async (): Promise<unknown> => {
    const record = await store.get('status.head');
    return record === undefined ? undefined : JSON.parse(Buffer.from(record.value).toString());
  };
  return { path, store, revisions, file, shardOfAcme, status };
}

const jsonOf = (shard: string) => JSON.stringify(routingDocument({ acme: shard }));

describe('RoutingFile', () => {
  it('publishes a JSON file, and again when it changes, also by replacing it', async () => {
    const { path, file, revisions, shardOfAcme, status } = await setUp('routing.json', jsonOf('s1'));
    await using _ = file;
    await until(async () => (await shardOfAcme()) === 's1', { ...wait, what: 'the file' });
    expect(await revisions.head()).toMatchObject({ revision: 1, by: 'file', note: 'routing.json' });
    await writeFile(path, jsonOf('s2'));
    await until(async () => (await shardOfAcme()) === 's2', { ...wait, what: 'the changed file' });
    await writeFile(`${path}.new`, jsonOf('s1'));
    await rename(`${path}.new`, path);
    await until(async () => (await revisions.head())?.revision === 3, { ...wait, what: 'the replaced file' });
    await file.settled();
    expect(await status()).toMatchObject({ source: 'file', state: 'published', revision: 3 });
  });

  it('reads YAML by its name', async () => {
    const { file, shardOfAcme } = await setUp('routing.yaml', yamlOf(routingDocument({ acme: 's2' })));
    await using _ = file;
    await until(async () => (await shardOfAcme()) === 's2', { ...wait, what: 'the file' });
  });

  it.each([
    ['routing.json', '{"runner_placement":{"acme":"s9"},"x":1}', 2],
    ['routing.json', '{', 1],
    ['routing.yml', 'runner_shards: {}\nrunner_shards: {}\n', 1],
    ['routing.yml', 'a: &a [x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]\n', 1],
  ])('says in status.head what is wrong with %s: %s, and takes the corrected file', async (name, content, count) => {
    const { path, file, status, shardOfAcme } = await setUp(name, content);
    await using _ = file;
    const refused = await until(status, { ...wait, what: 'the status' });
    expect(refused).toMatchObject({ source: 'file', state: 'refused' });
    expect(Object(refused).errors).toHaveLength(count);
    await writeFile(path, jsonOf('s1'));
    await until(async () => (await shardOfAcme()) === 's1', { ...wait, what: 'the corrected file' });
  });

  it('leaves a routing that equals it alone', async () => {
    const { path, file, revisions, status } = await setUp('routing.json', jsonOf('s1'));
    await using _ = file;
    await until(status, { ...wait, what: 'the first publication' });
    await writeFile(path, JSON.stringify(routingDocument({ acme: 's1' }), null, 2));
    await until(async () => Object(await status()).state === 'unchanged', { ...wait, what: 'the reformatted file' });
    await file.reload();
    expect((await revisions.head())?.revision).toBe(1);
  });

  it('waits for storage that is away', async () => {
    const { file, store, revisions, shardOfAcme } = await setUp('routing.json', jsonOf('s1'));
    await using _ = file;
    store.setAvailable(false);
    await file.settled();
    store.setAvailable(true);
    await until(async () => (await shardOfAcme()) === 's1', { ...wait, what: 'the file' });
    expect((await revisions.head())?.revision).toBe(1);
  });

  it('says so when its folder does not exist', () => {
    const store = createMemoryKeyValueStore();
    const publish = async () => ({ ok: true, value: { revision: 1, changed: true } }) as const;
    expect(() => new RoutingFile({ path: '/nowhere/at/all.json', publish, store, clock, log })).toThrow(/ENOENT/);
  });
});
