import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { SwapRecord } from '../../../xds/swap-record.ts';

function recordAt() {
  const now = { ms: 0 };
  const record = new SwapRecord(() => now.ms);
  const at = (ms: number) => {
    now.ms = ms;
    return record;
  };
  return { record, at };
}

const rejected = (error: string) => ({ kind: 'rejected', type: 'cluster', names: ['runner/s1'], error }) as const;

describe('the swap record of an xds replica', () => {
  it('tells when a revision was loaded, stamped, and told to and acknowledged by each Envoy', () => {
    const { record, at } = recordAt();
    const seen: number[] = [];
    const encode = record.watchStamps((stamp) => seen.push(stamp));
    at(10).loaded(5);
    at(12);
    encode(5);
    at(13).onEvent('a', { kind: 'stamp_sent', stamp: 5 });
    at(15).onEvent('a', { kind: 'stamp_acked', stamp: 5 });
    at(20).loaded(6);
    at(21).loaded(7);
    at(22);
    encode(7);
    at(25).onEvent('a', { kind: 'stamp_sent', stamp: 7 });
    at(26).onEvent('a', { kind: 'stamp_sent', stamp: 7 });
    at(30).onEvent('a', { kind: 'stamp_acked', stamp: 7 });
    at(31).onEvent('b', { kind: 'stamp_acked', stamp: 7 });
    at(32).onEvent('a', { kind: 'stamp_acked', stamp: 7 });
    expect(seen).toEqual([5, 7]);
    expect(record.facts(6)).toEqual({
      sinceMs: 0,
      loaded: { revision: 6, atMs: 20 },
      stamped: { revision: 7, atMs: 22 },
      envoys: [
        { node: 'b', rejected: [] },
        { node: 'a', sent: { revision: 7, atMs: 25 }, acked: { revision: 7, atMs: 30 }, rejected: [] },
      ],
    });
    expect(record.facts(7).envoys).toEqual([
      { node: 'b', acked: { revision: 7, atMs: 31 }, rejected: [] },
      { node: 'a', sent: { revision: 7, atMs: 25 }, acked: { revision: 7, atMs: 30 }, rejected: [] },
    ]);
    expect(record.facts(8)).toMatchObject({ envoys: [{ node: 'b' }, { node: 'a' }] });
  });

  it('tells what an Envoy rejected between the arrival of the revision and its acknowledgement', () => {
    const { record, at } = recordAt();
    at(1).onEvent('a', rejected('before'));
    at(10).loaded(5);
    at(11).onEvent('a', rejected('meanwhile'));
    at(20).onEvent('a', { kind: 'stamp_acked', stamp: 5 });
    at(21).onEvent('a', rejected('after'));
    expect(record.facts(5).envoys[0]?.rejected).toEqual([
      {
        type: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
        names: ['runner/s1'],
        error: 'meanwhile',
        atMs: 11,
      },
    ]);
  });

  it('is bounded: in Envoys, in rejections, in what it keeps of each', () => {
    const { record, at } = recordAt();
    at(1).loaded(1);
    record.onEvent(undefined, { kind: 'stamp_acked', stamp: 1 });
    for (let count = 0; count < LIMITS.swapRecordNodesMaxCount + 5; count += 1) {
      record.onEvent(`n${count}`, { kind: 'stamp_acked', stamp: 1 });
      // Heard of again and again, the first one stays.
      if (count > 0) record.onEvent('n0', { kind: 'stamp_acked', stamp: 1 });
    }
    expect(record.facts(1).envoys).toHaveLength(LIMITS.swapRecordNodesMaxCount);
    expect(record.facts(1).envoys.some(({ node }) => node === 'n0')).toBe(true);
    for (let count = 0; count < 100; count += 1) record.onEvent('late', rejected('x'.repeat(10_000)));
    const late = record.facts(1).envoys.find(({ node }) => node === 'late');
    expect(late?.rejected).toHaveLength(LIMITS.swapRecordRejectionsMaxCount);
    expect(late?.rejected[0]?.error.length).toBe(2_000);
  });

  it('answers the board', () => {
    const { record } = recordAt();
    record.loaded(3);
    const topics: string[] = [];
    let answer: (body: unknown) => unknown = () => undefined;
    const stop = record.answerOn({
      answer: (topic, given) => {
        topics.push(topic);
        answer = given;
        return () => topics.pop();
      },
    });
    expect(answer({ revision: 3 })).toMatchObject({ loaded: { revision: 3 } });
    expect(answer(null)).toBeUndefined();
    stop();
    expect(topics).toEqual([]);
  });
});
