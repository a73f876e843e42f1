import type { EnvReader } from '../env.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { parseTraceParent, type TraceParent } from './trace-parent.ts';

/** Where spans go, and how many (docs/config.md). */
export interface TracingSettings {
  /** `http://host:port` or `https://host:port` of a collector's OTLP/gRPC; absent: there are no spans. */
  readonly endpoint: string | undefined;
  /** Of the traces that begin here: how many are recorded, in percent. */
  readonly samplePercent: number;
}

/** What happened, once it is over. No value may be a secret: spans leave the system. */
export interface SpanRecord {
  readonly name: string;
  readonly kind: 'server' | 'internal';
  /** The caller's place in the trace, as it was received; absent or malformed: a trace of its own begins. */
  readonly traceparent?: string | undefined;
  /** Both by `Date.now()` or both by `performance.now()`, milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
  /** Texts are cut after `LIMITS.spanTextMaxChars`; what is undefined is left out. */
  readonly attributes: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Makes the span one of a failure. */
  readonly error?: string | undefined;
}

/** Takes spans that are over. Never throws and never waits. */
export interface Tracing extends AsyncDisposable {
  /** False: `record` would forget this. For those to whom the making of a record is dear. */
  wants(traceparent: string | undefined): boolean;
  /** @returns the span's place for its children, undefined when it is not recorded */
  record(span: SpanRecord): TraceParent | undefined;
}

/** Reads `GATEWAY_OTLP_ENDPOINT` and `GATEWAY_TRACE_SAMPLE_PERCENT`. */
export function readTracing(read: EnvReader): TracingSettings {
  const endpoint = read.optional('GATEWAY_OTLP_ENDPOINT');
  if (endpoint !== undefined && otlpAddress(endpoint) === undefined) {
    read.mistake(`GATEWAY_OTLP_ENDPOINT must be http://host:port or https://host:port, not "${endpoint}"`);
  }
  return {
    endpoint,
    samplePercent: read.integer('GATEWAY_TRACE_SAMPLE_PERCENT', { min: 0, max: 100, fallback: 100 }),
  };
}

/** The parts of a collector's URL; without a port it is 4317, OTLP/gRPC's. @returns undefined when it is none */
export function otlpAddress(
  endpoint: string,
): { readonly host: string; readonly port: number; readonly isTls: boolean } | undefined {
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') return undefined;
  // A path is of OTLP/HTTP, and a password would get into logs.
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '' || url.username !== '') return undefined;
  // URL drops the port that the scheme has by itself.
  const written = /:(\d+)\/?$/.exec(endpoint)?.[1];
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port: written === undefined ? 4317 : Number(written), isTls: url.protocol === 'https:' };
}

/**
 * Opens the way to the collector, which may be away: spans are then dropped.
 * @returns undefined where there is none; nothing is loaded then
 */
export async function openTracing(options: {
  /** Absent: as without a collector. */
  readonly tracing: TracingSettings | undefined;
  /** Name and replica of the program, as in its logs. */
  readonly service: string;
  readonly replica?: string | undefined;
  readonly log: Log;
  readonly metrics?: Metrics | undefined;
}): Promise<Tracing | undefined> {
  const { endpoint, samplePercent = 0 } = options.tracing ?? {};
  const address = endpoint === undefined ? undefined : otlpAddress(endpoint);
  if (address === undefined) return undefined;
  const { openOtlpTracing } = await import('./otlp-tracing.ts');
  return openOtlpTracing({ ...options, address, samplePercent });
}

/** What a log line says of a request's place in its trace. */
export function traceFields(traceparent: string | undefined): {
  readonly trace_id?: string;
  readonly span_id?: string;
} {
  const parent = parseTraceParent(traceparent);
  return parent === undefined ? {} : { trace_id: parent.traceId, span_id: parent.spanId };
}
