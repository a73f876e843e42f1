import { setTimeout as sleep } from 'node:timers/promises';
import { HEADER } from '#domain/headers.ts';
import type { Flow, LostConnection, TrafficAnswer, TrafficMessage, TrafficOrder, TrafficSpec } from './traffic.ts';
import { type Outgoing, openSender, type Sender } from './traffic-senders.ts';

/**
 * Clients of every kind as a process of its own, so that what a test does meanwhile neither shifts the times nor fails a
 * request. Takes a TrafficSpec as its first message, then orders. Nothing is sent twice.
 */
const TICK_MS = 4;
const REPORT_EVERY_MS = 200;
const BODY_SHOWN_CHARS = 500;
const AGGREGATES_COUNT = 997;

class Clients {
  readonly #spec: TrafficSpec;
  readonly #flows: readonly (readonly [Flow, Sender])[];
  readonly #answers: TrafficAnswer[] = [];
  readonly #lost: LostConnection[] = [];
  #token: string;
  #running = 0;

  constructor(spec: TrafficSpec) {
    this.#spec = spec;
    this.#token = spec.token;
    this.#flows = spec.flows.map((flow) => {
      const url = flow.tls ? spec.https : spec.http;
      const onLost = (wasTold: boolean) =>
        void this.#lost.push({ flow: flow.name, tls: flow.tls, at: Date.now(), wasTold });
      return [flow, openSender(flow, url, onLost)] as const;
    });
  }

  renew(token: string): void {
    this.#token = token;
  }

  /** Sends at the steady rate until `signal` aborts, then waits for the last answer. */
  async run(signal: AbortSignal): Promise<void> {
    const report = setInterval(() => this.#report(), REPORT_EVERY_MS);
    const startMs = performance.now();
    for (let sent = 0; !signal.aborted; await sleep(TICK_MS)) {
      const due = ((performance.now() - startMs) * this.#spec.requestsPerSecond) / 1_000;
      for (; sent < due; sent += 1) void this.#send(sent);
    }
    while (this.#running > 0) await sleep(TICK_MS);
    clearInterval(report);
    this.#report();
  }

  [Symbol.dispose](): void {
    for (const [, sender] of this.#flows) sender[Symbol.dispose]();
  }

  async #send(index: number): Promise<void> {
    const [flow, sender] = this.#flows[index % this.#flows.length] ?? [];
    if (flow === undefined || sender === undefined) throw new Error('there are flows');
    const { tenants } = this.#spec;
    const tenant = tenants[Math.floor(index / this.#flows.length) % tenants.length] ?? '';
    this.#running += 1;
    const id = `traffic-${process.pid}-${index}`;
    const sentAt = Date.now();
    const startMs = performance.now();
    const { status, code, body } = await sender.send(this.#outgoing(flow, { id, tenant, index }));
    const isRight =
      flow.id === 'none' ? code === 'validation_failed' : status === (flow.wire === 'grpc' ? 'grpc 0' : '200');
    const shown = isRight ? {} : { body: body.slice(0, BODY_SHOWN_CHARS) };
    const tookMs = performance.now() - startMs;
    this.#answers.push({ id, flow: flow.name, tenant, isRight, status, code, sentAt, tookMs, ...shown });
    this.#running -= 1;
  }

  #outgoing(flow: Flow, { id, tenant, index }: { id: string; tenant: string; index: number }): Outgoing {
    const { delayMs } = this.#spec;
    const headers = {
      authorization: `Bearer ${this.#token}`,
      [HEADER.tenantId]: tenant,
      [HEADER.correlationId]: id,
      ...(flow.id === 'key' ? { [HEADER.idempotencyKey]: id } : {}),
    };
    const padding = flow.padBytes === undefined ? {} : { padding: 'x'.repeat(flow.padBytes) };
    const marked = { marker: id, ...padding };
    if (flow.kind === 'query') return { path: '/v1/query/load', headers, body: { delay_ms: delayMs, ...marked } };
    if (flow.kind === 'runner') return { path: '/admin/runner/work', headers, body: { delay_ms: delayMs, ...marked } };
    const aggregate = String(index % AGGREGATES_COUNT);
    const message = {
      ...(flow.id === 'message' ? { command_id: id } : {}),
      command_type: `test.delay.${delayMs}`,
      payload: marked,
    };
    if (flow.wire !== 'grpc') return { path: `/v1/commands/order/${aggregate}`, headers, body: message };
    return { path: '', headers, body: { aggregate_type: 'order', aggregate_id: aggregate, ...message } };
  }

  #report(): void {
    if (this.#answers.length + this.#lost.length === 0) return;
    tell({ answers: this.#answers.splice(0), lost: this.#lost.splice(0) });
  }
}

const tell = (message: TrafficMessage): void => void process.send?.(message);

process.once('message', (spec: TrafficSpec) => void serve(spec));
process.once('disconnect', () => process.exit());

async function serve(spec: TrafficSpec): Promise<void> {
  const stop = new AbortController();
  using clients = new Clients(spec);
  process.on('message', (order: TrafficOrder) => {
    if ('stop' in order) stop.abort();
    else clients.renew(order.token);
  });
  await clients.run(stop.signal);
  tell({ isDone: true });
}
