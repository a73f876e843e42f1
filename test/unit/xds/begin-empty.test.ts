import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { RoutingSnapshot } from '#domain/routing/types.ts';
import { beginEmpty } from '../../../xds/begin-empty.ts';
import { routingDocument, snapshotOf } from '../../support/routing.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setUp() {
  const state: { current: RoutingSnapshot | undefined; isComplete: boolean; problem: unknown } = {
    current: undefined,
    isComplete: false,
    problem: undefined,
  };
  const applied: number[] = [];
  const controlPlane = {
    get isReady() {
      return applied.length > 0;
    },
    applyRevision: ({ revision }: Pick<RoutingSnapshot, 'revision' | 'shards'>) => void applied.push(revision),
  };
  const source = { current: () => state.current, isComplete: () => state.isComplete, problem: () => state.problem };
  beginEmpty({ source, controlPlane });
  return { state, applied, controlPlane };
}

it('serves revision 0 once the store has said that there is nothing', () => {
  const { state, applied } = setUp();
  vi.advanceTimersByTime(10_000);
  expect(applied).toEqual([]);
  state.isComplete = true;
  vi.advanceTimersByTime(100);
  expect(applied).toEqual([0]);
  expect(vi.getTimerCount()).toBe(0);
});

it('serves nothing in the place of a head that cannot be read', () => {
  const { state, applied } = setUp();
  Object.assign(state, { isComplete: true, problem: { revision: 3, reason: 'damaged' } });
  vi.advanceTimersByTime(10_000);
  expect(applied).toEqual([]);
});

it('leaves a revision alone', () => {
  const { state, applied, controlPlane } = setUp();
  controlPlane.applyRevision(snapshotOf(routingDocument({})));
  Object.assign(state, { isComplete: true });
  vi.advanceTimersByTime(10_000);
  expect(applied).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});
