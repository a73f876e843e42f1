import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { describe, expect, it, test } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { ConfigurationError, EnvReader } from '#platform/env.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { openOtlpTracing } from '#platform/tracing/otlp-tracing.ts';
import { openTracing, otlpAddress, readTracing, type SpanRecord } from '#platform/tracing/tracing.ts';
import { until } from '../../../support/wait.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = `00-${TRACE}-b7ad6b7169203331`;
const span = (traceparent?: string, more: Partial<SpanRecord> = {}): SpanRecord => ({
  name: 'work',
  kind: 'server',
  traceparent,
  startMs: 1_000_000_000_000,
  endMs: 1_000_000_000_002,
  attributes: { text: 'x'.repeat(1_000), none: undefined },
  ...more,
});

type Export = Parameters<SpanExporter['export']>;
function open(options: { readonly samplePercent?: number; readonly answers?: (done: Export[1]) => void } = {}) {
  const spans: Export[0] = [];
  const lines: string[] = [];
  const metrics = createMetrics('test');
  const log = createLog({ service: 'test', destination: { write: (line) => void lines.push(line) } });
  const exporter: SpanExporter = {
    export: (batch, done) => {
      spans.push(...batch);
      (options.answers ?? ((end) => end({ code: 0 })))(done);
    },
    shutdown: async () => undefined,
  };
  const address = { host: '127.0.0.1', port: 1, isTls: false };
  const { samplePercent = 100 } = options;
  const tracing = openOtlpTracing({ address, samplePercent, service: 'test', log, metrics, exporter });
  const count = async (name: string) => {
    const { values } = (await metrics.registry.getSingleMetric(name)?.get()) ?? { values: [] };
    return Object.fromEntries(values.map(({ labels, value }) => [String(labels['reason'] ?? 'all'), value]));
  };
  return { tracing, spans, lines, count };
}

describe('what is recorded', () => {
  it('is what the caller wants, under its span; its end sends what waits', async () => {
    const { tracing, spans, count } = open({ samplePercent: 0 });
    expect(tracing.wants(`${PARENT}-00`)).toBe(false);
    expect(tracing.record(span(`${PARENT}-00`))).toBeUndefined();
    expect(tracing.wants(`${PARENT}-01`)).toBe(true);
    const place = tracing.record(span(`${PARENT}-01`, { error: 'it broke' }));
    expect(place).toMatchObject({ traceId: TRACE, isSampled: true });
    await tracing[Symbol.asyncDispose]();
    expect(spans).toHaveLength(1);
    expect(spans[0]).toMatchObject({
      name: 'work',
      status: { code: 2, message: 'it broke' },
      parentSpanContext: { traceId: TRACE, spanId: 'b7ad6b7169203331' },
      duration: [0, 2_000_000],
      attributes: { text: 'x'.repeat(LIMITS.spanTextMaxChars) },
    });
    expect(await count('gateway_spans_sent_total')).toEqual({ all: 1 });
  });

  it.each([
    [100, 20],
    [0, 0],
  ])('is %i percent where nobody has said', async (samplePercent, expected) => {
    const { tracing, spans } = open({ samplePercent });
    for (let n = 0; n < 20; n += 1) tracing.record(span(n % 2 === 0 ? undefined : 'nonsense'));
    await tracing[Symbol.asyncDispose]();
    expect(spans).toHaveLength(expected);
    expect(new Set(spans.map((each) => each.spanContext().traceId)).size).toBe(expected);
  });
});

describe('a collector that takes nothing', () => {
  it('is named in the log once, and once more when it is back; what it lost is counted', async () => {
    let isAway = true;
    const { tracing, lines, count } = open({
      answers: (done) => done(isAway ? { code: 1, error: new Error('away') } : { code: 0 }),
    });
    const send = async (total: number) => {
      tracing.record(span());
      const settled = async () => {
        const counts = {
          ...(await count('gateway_spans_dropped_total')),
          ...(await count('gateway_spans_sent_total')),
        };
        return (counts['export_failed'] ?? 0) + (counts['all'] ?? 0) === total;
      };
      await until(settled, { deadlineMs: 10_000, what: 'the batch to be settled' });
    };
    await send(1);
    await send(2);
    isAway = false;
    await send(3);
    expect(await count('gateway_spans_dropped_total')).toEqual({ export_failed: 2 });
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['spans are lost', 'spans are taken again']);
    await tracing[Symbol.asyncDispose]();
  });

  it('lets so many wait and no more, and the end waits for it no longer than it may', async () => {
    const { tracing, count } = open({ answers: () => undefined });
    const more = 7;
    for (let n = 0; n < LIMITS.spansQueuedMaxCount + more; n += 1) tracing.record(span());
    expect(await count('gateway_spans_dropped_total')).toEqual({ queue_full: more });
    const startedAt = performance.now();
    await tracing[Symbol.asyncDispose]();
    expect(performance.now() - startedAt).toBeLessThan(LIMITS.spansFlushMaxMs + 2_000);
  });
});

test('without a collector there is no tracing', async () => {
  const tracing = { endpoint: undefined, samplePercent: 100 };
  expect(await openTracing({ tracing, service: 'test', log: createLog({ service: 'test' }) })).toBeUndefined();
});

test.each([
  ['http://collector:4317', { host: 'collector', port: 4317, isTls: false }],
  ['http://collector/', { host: 'collector', port: 4317, isTls: false }],
  ['https://collector:443', { host: 'collector', port: 443, isTls: true }],
  ['http://[::1]:80', { host: '::1', port: 80, isTls: false }],
  ['http://collector:4318/v1/traces', undefined],
  ['http://user:password@collector', undefined],
  ['collector:4317', undefined],
  ['grpc://collector', undefined],
  ['', undefined],
])('the collector %j', (text, address) => expect(otlpAddress(text)).toEqual(address));

test('both mistakes are reported', () => {
  const reader = new EnvReader({ GATEWAY_OTLP_ENDPOINT: 'nowhere', GATEWAY_TRACE_SAMPLE_PERCENT: '101' });
  readTracing(reader);
  expect(() => reader.finish()).toThrow(ConfigurationError);
  expect(() => reader.finish()).toThrow(/GATEWAY_OTLP_ENDPOINT[\s\S]*GATEWAY_TRACE_SAMPLE_PERCENT/);
});
