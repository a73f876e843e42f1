import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clientOf } from '#domain/access/client-address.ts';
import { fullAfterMs, fullBucket, isFull, type RateLimit, remaining, take } from '#domain/access/rate-limit.ts';
import { RateTable } from '#domain/access/rate-table.ts';
import { LIMITS } from '#domain/limits.ts';

const limits: fc.Arbitrary<RateLimit> = fc.record({
  requests: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constant(LIMITS.rateRequestsMaxCount)),
  windowMs: fc.oneof(
    fc.integer({ min: 1, max: 20 }).map((seconds) => seconds * 1_000),
    fc.constant(LIMITS.rateWindowMaxMs),
  ),
});
/** Times of requests, in order; many at once and long pauses among them. */
const times = fc
  .array(fc.oneof(fc.constant(0), fc.nat(50), fc.nat(5_000), fc.nat(10_000_000)), { minLength: 1, maxLength: 200 })
  .map((gaps) => {
    let nowMs = 0;
    return gaps.map((gap) => {
      nowMs += gap;
      return nowMs;
    });
  });
const sharers = fc.integer({ min: 1, max: 7 });

describe('a bucket', () => {
  it('never lets more through than its limit and what came back, over any time', () => {
    fc.assert(
      fc.property(limits, times, (limit, moments) => {
        const bucket = fullBucket(limit, { nowMs: moments[0] ?? 0, sharers: 1 });
        const admitted = moments.filter((nowMs) => take(bucket, limit, { nowMs, sharers: 1 }) === 0);
        for (const [from, start] of admitted.entries()) {
          for (const [to, end] of admitted.entries()) {
            if (to < from) continue;
            const most = limit.requests + Math.floor(((end - start) * limit.requests) / limit.windowMs);
            expect(to - from + 1).toBeLessThanOrEqual(most);
          }
        }
      }),
    );
  });

  it('never refuses who keeps to the rate, nor who waits as long as he is told', () => {
    fc.assert(
      fc.property(limits, sharers, times, fc.nat(100), (limit, count, moments, spent) => {
        const bucket = fullBucket(limit, { nowMs: 0, sharers: count });
        for (let index = 0; index < spent; index += 1) take(bucket, limit, { nowMs: 0, sharers: count });
        let nowMs = 0;
        for (const moment of moments) {
          nowMs = Math.max(nowMs, moment);
          const waitMs = take(bucket, limit, { nowMs, sharers: count });
          if (waitMs === 0) continue;
          expect(take(bucket, limit, { nowMs: nowMs + waitMs - 1, sharers: count })).toBe(1);
          nowMs += waitMs;
          expect(take(bucket, limit, { nowMs, sharers: count })).toBe(0);
        }
        // One request in the time in which one comes back.
        const stepMs = Math.ceil((limit.windowMs * count) / limit.requests);
        for (let index = 1; index <= 50; index += 1) {
          expect(take(bucket, limit, { nowMs: nowMs + index * stepMs, sharers: count })).toBe(0);
        }
      }),
    );
  });

  it('keeps every number whole', () => {
    fc.assert(
      fc.property(limits, sharers, times, (limit, count, moments) => {
        const bucket = fullBucket(limit, { nowMs: 0, sharers: count });
        for (const nowMs of moments) {
          const moment = { nowMs, sharers: count };
          const waitMs = take(bucket, limit, moment);
          for (const number of [waitMs, bucket.units, remaining(bucket, limit), fullAfterMs(bucket, limit, moment)]) {
            expect(Number.isSafeInteger(number) && number >= 0).toBe(true);
          }
        }
      }),
    );
  });

  it('is kept by replicas together, however requests are spread and whoever comes and goes', () => {
    fc.assert(
      fc.property(
        limits,
        sharers,
        fc.array(fc.tuple(fc.nat(3_000), fc.nat(6)), { maxLength: 300 }),
        (limit, n, asks) => {
          const buckets = Array.from({ length: n }, () => fullBucket(limit, { nowMs: 0, sharers: n }));
          let nowMs = 0;
          let admitted = 0;
          for (const [gap, to] of asks) {
            nowMs += gap;
            const bucket = buckets[to % n];
            if (bucket !== undefined && take(bucket, limit, { nowMs, sharers: n }) === 0) admitted += 1;
          }
          // A limit smaller than the number of replicas still means one request for each.
          const most = Math.max(limit.requests, n) + Math.floor((nowMs * limit.requests) / limit.windowMs);
          expect(admitted).toBeLessThanOrEqual(most);
        },
      ),
    );
  });

  it('halves what it has when a second replica comes, and has it back when that goes', () => {
    const limit = { requests: 10, windowMs: 10_000 };
    const bucket = fullBucket(limit, { nowMs: 0, sharers: 1 });
    const through = (count: number, nowMs: number) => {
      let admitted = 0;
      while (take(bucket, limit, { nowMs, sharers: count }) === 0) admitted += 1;
      return admitted;
    };
    expect(through(2, 0)).toBe(5);
    expect(through(2, 10_000)).toBe(5);
    expect(through(1, 20_000)).toBe(10);
  });

  it('takes nothing when the clock goes back', () => {
    const limit = { requests: 2, windowMs: 1_000 };
    const bucket = fullBucket(limit, { nowMs: 5_000, sharers: 1 });
    expect(take(bucket, limit, { nowMs: 1_000, sharers: 1 })).toBe(0);
    expect(take(bucket, limit, { nowMs: 0, sharers: 1 })).toBe(0);
    expect(take(bucket, limit, { nowMs: 5_000, sharers: 1 })).toBe(500);
  });
});

describe('a table of buckets', () => {
  const table = (limit: RateLimit, maxCount: number) => new RateTable({ limit, maxCount, sharedCount: 4, seed: 99 });
  const at = (nowMs: number) => ({ nowMs, sharers: 1 });
  const LIMIT = { requests: 2, windowMs: 1_000 };

  it('gives each caller what it would have alone, whatever others do', () => {
    const asks = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(900)), { maxLength: 150 });
    fc.assert(
      fc.property(limits, asks, (limit, list) => {
        const together = table(limit, 10);
        let nowMs = 0;
        const seen = list.map(([key, gap]) => {
          nowMs += gap;
          return { key, nowMs, waitMs: together.take(key, at(nowMs)) };
        });
        for (const key of ['a', 'b', 'c']) {
          const alone = table(limit, 10);
          for (const one of seen.filter((each) => each.key === key)) {
            expect(alone.take(key, at(one.nowMs))).toBe(one.waitMs);
          }
        }
      }),
    );
  });

  it('forgets nobody who has spent something, however many come', () => {
    const buckets = table(LIMIT, 100);
    buckets.take('attacker', at(0));
    buckets.take('attacker', at(0));
    for (let index = 0; index < 10_000; index += 1) buckets.take(`other-${index}`, at(1));
    expect(buckets.size).toBe(100);
    expect(buckets.take('attacker', at(1))).toBeGreaterThan(0);
    // Whoever was there keeps a bucket of his own.
    expect(buckets.take('other-5', at(1))).toBe(0);
    expect(buckets.lastIsShared).toBe(false);
  });

  it('makes newcomers share when it is full, and gives them their own when others have recovered', () => {
    const buckets = table(LIMIT, 10);
    for (let index = 0; index < 10; index += 1) buckets.take(`busy-${index}`, at(0));
    const late = Array.from({ length: 40 }, (_, index) => buckets.take(`late-${index}`, at(0)) === 0);
    // Four buckets for two requests each.
    expect(late.filter(Boolean).length).toBeLessThanOrEqual(8);
    expect(late.filter(Boolean).length).toBeGreaterThan(0);
    expect(buckets.lastIsShared).toBe(true);
    for (let round = 0; round < 5; round += 1) buckets.take('late-1', at(2_000 + round));
    expect(buckets.lastIsShared).toBe(false);
  });

  it('gives who shared a bucket no full one instead of it', () => {
    const buckets = table({ requests: 2, windowMs: 10_000 }, 1);
    buckets.take('first', at(0));
    while (buckets.take('late', at(0)) === 0);
    // The first has recovered after five seconds, the shared bucket has not.
    expect([buckets.take('late', at(5_000)), buckets.lastIsShared]).toEqual([0, false]);
    expect(buckets.take('late', at(5_000))).toBe(5_000);
  });

  it('shrinks when nobody asks for long', () => {
    const buckets = table(LIMIT, 1_000);
    for (let index = 0; index < 1_000; index += 1) buckets.take(`once-${index}`, at(index));
    for (let index = 0; index < 400; index += 1) buckets.take(`again-${index % 3}-${index}`, at(100_000));
    expect(buckets.size).toBeLessThan(500);
  });

  it('tells when a bucket is as good as new', () => {
    const bucket = fullBucket(LIMIT, at(0));
    expect(isFull(bucket, LIMIT, at(0))).toBe(true);
    take(bucket, LIMIT, at(0));
    expect([isFull(bucket, LIMIT, at(499)), isFull(bucket, LIMIT, at(500))]).toEqual([false, true]);
  });
});

describe('whom an address stands for', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:0207', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', 'unknown'],
    ['fe80::1%eth0', 'unknown'],
  ])('%s: %s', (address, client) => {
    expect(clientOf(address)).toBe(client);
  });

  it('is one for all addresses of a /64, in every spelling', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        fc.array(group, { minLength: 8, maxLength: 8 }),
        fc.array(group, { minLength: 4, maxLength: 4 }),
        (one, host) => {
          fc.pre(one.slice(0, 4).some((value) => value !== 0));
          const write = (groups: readonly number[]) => groups.map((value) => value.toString(16)).join(':');
          const other = write([...one.slice(0, 4), ...host]);
          expect(clientOf(other.toUpperCase())).toBe(clientOf(write(one)));
        },
      ),
    );
  });
});
