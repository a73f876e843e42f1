import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** The metrics of one program, in the Prometheus text format on its internal port. */
export interface Metrics {
  readonly registry: Registry;
  /** Monotonic count; label values must come from closed lists (a tenant or user id is not one). */
  counter<Label extends string>(name: string, help: string, labels?: readonly Label[]): Counter<Label>;
  gauge<Label extends string>(name: string, help: string, labels?: readonly Label[]): Gauge<Label>;
  /** `buckets` in seconds. */
  histogram<Label extends string>(
    name: string,
    help: string,
    options: { readonly buckets: readonly number[]; readonly labels?: readonly Label[] },
  ): Histogram<Label>;
}

/** A fresh registry with the process metrics of Node; names begin with `gateway_`. */
export function createMetrics(service: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: [...labels], registers }),
    gauge: (name, help, labels = []) => new Gauge({ name, help, labelNames: [...labels], registers }),
    histogram: (name, help, { buckets, labels = [] }) =>
      new Histogram({ name, help, labelNames: [...labels], buckets: [...buckets], registers }),
  };
}
