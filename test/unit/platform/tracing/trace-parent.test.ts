import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTraceParent, parseTraceParent } from '#platform/tracing/trace-parent.ts';
import { traceFields } from '#platform/tracing/tracing.ts';

const hex = (digits: number) =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)).filter((text) => !/^0+$/.test(text));
const places = fc.record({ traceId: hex(32), spanId: hex(16), isSampled: fc.boolean() });

test('what is written is read as it was', () => {
  fc.assert(
    fc.property(places, (place) => {
      expect(parseTraceParent(formatTraceParent(place))).toEqual(place);
    }),
  );
});

test('of the flags only the lowest bit says that a trace is recorded', () => {
  fc.assert(
    fc.property(places, fc.integer({ min: 0, max: 255 }), (place, flags) => {
      const text = `${formatTraceParent(place).slice(0, -2)}${flags.toString(16).padStart(2, '0')}`;
      expect(parseTraceParent(text)?.isSampled).toBe(flags % 2 === 1);
    }),
  );
});

const [T, S] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
test.each([
  undefined,
  '',
  `01-${T}-${S}-01`,
  `00-${T}-${S}`,
  `00-${T}-${S}-01-more`,
  `00-${T.toUpperCase()}-${S}-01`,
  `00-${'0'.repeat(32)}-${S}-01`,
  `00-${T}-${'0'.repeat(16)}-01`,
  ` 00-${T}-${S}-01`,
  `00-${T}-${S}-01\n`,
])('%j is no traceparent', (text) => {
  expect(parseTraceParent(text)).toBeUndefined();
  expect(traceFields(text)).toEqual({});
});

test('a log line names the trace and the span', () => {
  expect(traceFields(`00-${T}-${S}-00`)).toEqual({ trace_id: T, span_id: S });
});
