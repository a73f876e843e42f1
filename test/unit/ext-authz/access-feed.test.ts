import { describe, expect, it } from 'vitest';
import { MemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { encodeRecord } from '#domain/identity/record-codec.ts';
import { iamKey } from '#domain/identity/records.ts';
import type { WatchOptions } from '#ports/key-value-store.ts';
import { openAccessFeed } from '../../../src/authz/ext-authz/access-feed.ts';
import { userRecord } from '../../support/check-fixture.ts';
import { silentLog } from '../../support/nats.ts';
import { until } from '../../support/wait.ts';

const value = encodeRecord(userRecord('usr_a'));
const change = { key: iamKey.user('usr_a'), revision: 7, value };

/** A store whose watch a test drives by hand: the moments between reset and synced are what matters here. */
function drivenStore() {
  let options: WatchOptions | undefined;
  const clock = { ms: 1_000_000, nowMs: (): number => clock.ms };
  const heard = { stalenessMs: Number.POSITIVE_INFINITY };
  const applied: number[] = [];
  const feed = openAccessFeed({
    store: {
      watch: (given) => {
        options = given;
        return {
          appliedRevision: () => 0,
          stalenessMs: () => heard.stalenessMs,
          [Symbol.asyncDispose]: async () => {},
        };
      },
    },
    clock,
    log: silentLog,
    onApplied: (revision) => applied.push(revision),
  });
  if (options === undefined) throw new Error('the feed watches nothing');
  return { clock, heard, applied, feed, drive: options };
}

describe('the access feed', () => {
  it('keeps the index at the state of the store', async () => {
    const store = new MemoryKeyValueStore();
    await store.commit([{ key: iamKey.user('usr_a'), value }]);
    await using feed = openAccessFeed({ store, clock: { nowMs: Date.now }, log: silentLog });
    await until(() => feed.index.principal('usr_a'), { deadlineMs: 5_000, what: 'the first load' });
    const { revision } = await store.commit([{ key: iamKey.user('usr_b'), value: encodeRecord(userRecord('usr_b')) }]);
    await until(() => feed.appliedRevision() >= revision, { deadlineMs: 5_000, what: 'the change' });
    expect(feed.index.principal('usr_b')?.id).toBe('usr_b');
  });

  it('says what it has applied when it is in force, not before', () => {
    const { applied, feed, drive } = drivenStore();
    drive.onReset();
    drive.onChanges([change]);
    expect([applied, feed.appliedRevision(), feed.index.isUsable()]).toEqual([[], 0, false]);
    drive.onSynced(9);
    drive.onChanges([{ ...change, revision: 12 }]);
    expect([applied, feed.appliedRevision(), feed.index.isUsable()]).toEqual([[9, 12], 12, true]);
  });

  it('is as old as the state in force while another is loaded, whatever the watch has heard', () => {
    const { clock, heard, feed, drive } = drivenStore();
    drive.onReset();
    expect(feed.stalenessMs()).toBe(Number.POSITIVE_INFINITY);
    drive.onSynced(9);
    heard.stalenessMs = 400;
    expect(feed.stalenessMs()).toBe(400);
    drive.onReset();
    heard.stalenessMs = 0;
    clock.ms += 1_000;
    drive.onReset();
    expect(feed.stalenessMs()).toBe(1_400);
    drive.onSynced(9);
    expect(feed.stalenessMs()).toBe(0);
  });
});
