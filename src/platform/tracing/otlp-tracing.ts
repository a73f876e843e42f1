import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { LIMITS } from '#domain/limits.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { parseTraceParent, type TraceParent } from './trace-parent.ts';
import type { SpanRecord, Tracing } from './tracing.ts';

type DropReason = 'queue_full' | 'export_failed';

const KINDS = { server: SpanKind.SERVER, internal: SpanKind.INTERNAL } as const;

/**
 * Spans to a collector by OTLP over gRPC, in batches and behind a bounded queue: a collector that is slow or away costs
 * spans, which are counted, and nothing else.
 */
export function openOtlpTracing(options: {
  readonly address: { readonly host: string; readonly port: number; readonly isTls: boolean };
  readonly samplePercent: number;
  readonly service: string;
  readonly replica?: string | undefined;
  readonly log: Log;
  readonly metrics?: Metrics | undefined;
  /** Other than OTLP's, for tests of the queue. */
  readonly exporter?: SpanExporter;
}): Tracing {
  const { address, service, replica, log, metrics } = options;
  const dropped = metrics?.counter('gateway_spans_dropped_total', 'Spans that no collector got.', ['reason']);
  const sent = metrics?.counter('gateway_spans_sent_total', 'Spans that the collector took.');
  const url = `${address.isTls ? 'https' : 'http'}://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  const exporter = options.exporter ?? new OTLPTraceExporter({ url, timeoutMillis: LIMITS.spansExportTimeoutMs });
  const queue = boundedQueue({
    exporter,
    onSent: (count) => sent?.inc(count),
    onDropped: (reason, count) => dropped?.inc({ reason }, count),
    onHealth: (error) => {
      if (error === undefined) log.info({ collector: url }, 'spans are taken again');
      else log.warn({ collector: url, error: error.message.slice(0, LIMITS.spanTextMaxChars) }, 'spans are lost');
    },
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': `gateway-${service}`,
      ...(replica === undefined ? {} : { 'service.instance.id': replica }),
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.samplePercent / 100) }),
    spanLimits: { attributeValueLengthLimit: LIMITS.spanTextMaxChars },
    spanProcessors: [queue],
  });
  const tracer = provider.getTracer('gateway');

  function record(span: SpanRecord): TraceParent | undefined {
    const parent = parseTraceParent(span.traceparent);
    if (parent?.isSampled === false) return undefined;
    const { traceId, spanId } = parent ?? {};
    const context =
      traceId === undefined || spanId === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true });
    const { name, kind, startMs: startTime, endMs } = span;
    const made = tracer.startSpan(name, { kind: KINDS[kind], startTime, attributes: span.attributes }, context);
    if (!made.isRecording()) return undefined;
    if (span.error !== undefined) made.setStatus({ code: SpanStatusCode.ERROR, message: span.error });
    made.end(endMs);
    const own = made.spanContext();
    return { traceId: own.traceId, spanId: own.spanId, isSampled: true };
  }

  return {
    wants: (traceparent) => parseTraceParent(traceparent)?.isSampled !== false,
    record,
    [Symbol.asyncDispose]: () => endWithin(LIMITS.spansFlushMaxMs, provider.shutdown()),
  };
}

/** The library's batches, with what it drops made visible: it says nothing of that by itself. */
function boundedQueue(options: {
  readonly exporter: SpanExporter;
  readonly onSent: (count: number) => void;
  readonly onDropped: (reason: DropReason, count: number) => void;
  /** The first failure in a row, and the success that ends the row. */
  readonly onHealth: (error: Error | undefined) => void;
}): SpanProcessor {
  const { exporter } = options;
  let queued = 0;
  let isFailing = false;
  const settle = (count: number, error: Error | undefined): void => {
    if (error === undefined) options.onSent(count);
    else options.onDropped('export_failed', count);
    if (isFailing === (error !== undefined)) return;
    isFailing = error !== undefined;
    options.onHealth(error);
  };
  const batches = new BatchSpanProcessor({
    exporter: {
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          queued -= spans.length;
          settle(spans.length, result.code === 0 ? undefined : (result.error ?? new Error('not taken')));
          // Told as a success: the batch is settled, and the library would print the failure.
          done({ code: 0 });
        }),
      shutdown: () => exporter.shutdown(),
    },
    maxQueueSize: LIMITS.spansQueuedMaxCount,
    maxExportBatchSize: LIMITS.spansBatchMaxCount,
    scheduledDelayMillis: LIMITS.spansExportEveryMs,
    // The exporter has its own, shorter one.
    exportTimeoutMillis: 2 * LIMITS.spansExportTimeoutMs,
  });
  return {
    onStart: () => undefined,
    onEnd: (span) => {
      if (queued >= LIMITS.spansQueuedMaxCount) {
        options.onDropped('queue_full', 1);
        return;
      }
      queued += 1;
      batches.onEnd(span);
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  };
}

/** Waits for work to end, but not for longer. What comes of it does not matter. */
async function endWithin(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => undefined), overdue]);
  clearTimeout(timer);
}
