import { expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { DrainNotice } from '../../../src/authz/drain-notice.ts';

function withClock() {
  const clock = { nowMs: 1_000 };
  return { clock, notice: new DrainNotice(() => clock.nowMs) };
}

it('is noticed when all who asked have heard, and calls on their way have come', () => {
  const { clock, notice } = withClock();
  notice.asked('a');
  notice.asked('b');
  notice.begin();
  clock.nowMs += 1_000;
  expect(notice.isNoticed()).toBe(false);
  notice.asked('a');
  clock.nowMs += 300;
  expect(notice.isNoticed()).toBe(false);
  notice.asked('b');
  clock.nowMs += 249;
  expect(notice.isNoticed()).toBe(false);
  // Hearing it again changes nothing: probes go on for as long as they can.
  notice.asked('a');
  clock.nowMs += 1;
  expect(notice.isNoticed()).toBe(true);
});

it('waits for calls to cease', () => {
  const { clock, notice } = withClock();
  notice.begin();
  notice.called();
  clock.nowMs += 249;
  expect(notice.isNoticed()).toBe(false);
  notice.called();
  clock.nowMs += 249;
  expect(notice.isNoticed()).toBe(false);
  clock.nowMs += 1;
  expect(notice.isNoticed()).toBe(true);
});

it('is never noticed before it begins, and at once where nobody asks or calls', () => {
  const { notice } = withClock();
  expect(notice.isNoticed()).toBe(false);
  expect(notice.isLeaving).toBe(false);
  notice.begin();
  expect(notice.isLeaving).toBe(true);
  expect(notice.isNoticed()).toBe(true);
});

it('does not wait for who has gone, or has not asked for long', () => {
  const { clock, notice } = withClock();
  notice.asked('long ago');
  clock.nowMs += LIMITS.drainNoticeMaxMs + 1;
  notice.asked('gone');
  notice.gone('gone');
  notice.begin();
  expect(notice.isNoticed()).toBe(true);
});

it('ends at the bound although somebody never asks again, and at once when nobody is connected', async () => {
  const { clock, notice } = withClock();
  notice.asked('frozen');
  let looks = 0;
  await notice.untilNoticed(() => {
    looks += 1;
    clock.nowMs += LIMITS.drainNoticeMaxMs / 4;
    return 1;
  });
  expect(looks).toBe(4);
  await notice.untilNoticed(() => 0);
  expect(notice.isNoticed()).toBe(false);
});
