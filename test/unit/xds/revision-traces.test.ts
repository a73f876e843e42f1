import { expect, test } from 'vitest';
import type { SpanRecord, Tracing } from '#platform/tracing/tracing.ts';
import { RevisionTraces } from '../../../xds/revision-traces.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

function setUp() {
  const spans: SpanRecord[] = [];
  const tracing: Tracing = {
    wants: () => true,
    record: (span) => {
      spans.push(span);
      return { traceId: TRACE, spanId: String(spans.length).padStart(16, '0'), isSampled: true };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const clock = { ms: 100 };
  return { spans, clock, traces: new RevisionTraces(tracing, () => clock.ms) };
}

test('a stamp is a span below that of its revision, from the telling to the acknowledgement', () => {
  const { spans, clock, traces } = setUp();
  traces.apply(7, () => {
    clock.ms = 105;
  });
  traces.onEvent('envoy-1', { kind: 'stamp_sent', stamp: 7 });
  clock.ms = 109;
  traces.onEvent('envoy-1', { kind: 'stamp_acked', stamp: 7 });
  traces.onEvent('envoy-1', { kind: 'stamp_acked', stamp: 7 });
  expect(spans).toMatchObject([
    { name: 'apply routing revision', startMs: 100, endMs: 105, attributes: { 'gateway.revision': 7 } },
    {
      name: 'stamp',
      traceparent: `00-${TRACE}-${'1'.padStart(16, '0')}-01`,
      startMs: 105,
      endMs: 109,
      attributes: { 'gateway.revision': 7, 'gateway.envoy': 'envoy-1' },
    },
  ]);
});

test('a rejected one has failed', () => {
  const { spans, traces } = setUp();
  traces.apply(7, () => undefined);
  traces.onEvent('envoy-1', { kind: 'stamp_sent', stamp: 7 });
  traces.onEvent('envoy-1', { kind: 'rejected', type: 'cluster', names: ['a'], error: 'not this' });
  traces.onEvent('envoy-1', { kind: 'rejected', type: 'route', names: ['gateway'], error: 'bad route' });
  expect(spans.slice(1)).toMatchObject([{ name: 'stamp', error: 'bad route' }]);
});

test('of a stamp that was overtaken, or of a revision from before the start, there is none', () => {
  const { spans, traces } = setUp();
  traces.apply(7, () => undefined);
  traces.apply(8, () => undefined);
  traces.onEvent('envoy-1', { kind: 'stamp_sent', stamp: 7 });
  traces.onEvent('envoy-1', { kind: 'stamp_sent', stamp: 8 });
  traces.onEvent('envoy-1', { kind: 'stamp_acked', stamp: 7 });
  traces.onEvent('envoy-2', { kind: 'stamp_sent', stamp: 3 });
  traces.onEvent('envoy-2', { kind: 'stamp_acked', stamp: 3 });
  traces.onEvent(undefined, { kind: 'stamp_acked', stamp: 8 });
  expect(spans.map(({ name }) => name)).toEqual(['apply routing revision', 'apply routing revision']);
});

test('without tracing the work is done all the same', () => {
  const done: number[] = [];
  new RevisionTraces(undefined, () => 0).apply(1, () => done.push(1));
  expect(done).toEqual([1]);
});
