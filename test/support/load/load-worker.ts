import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEADER } from '#domain/headers.ts';
import { CommandClient } from '../../nodes/aggregate/command-service.ts';
import { metadataOf } from '../edge-client.ts';
import type { LoadAnswer, LoadMessage, LoadSpec } from './load-answer.ts';

/**
 * The load of a system test, as a process of its own: what the test does meanwhile must not shift the times, nor a
 * request fail because the test was busy. Takes a LoadSpec as its first message and ends on any further one, after the
 * last answer.
 */
const CONNECTIONS_COUNT = 24;
const TIMEOUT_MS = 15_000;
const TICK_MS = 4;
const REPORT_EVERY_MS = 200;
const BODY_SHOWN_CHARS = 500;
const QUERY = '{}';

type Asked = Pick<LoadAnswer, 'id' | 'tenant'>;
type Outcome = Omit<LoadAnswer, 'id' | 'tenant' | 'kind' | 'sentAt' | 'tookMs'>;

class Load {
  readonly #spec: LoadSpec;
  readonly #commands: readonly CommandClient[];
  readonly #idle: { readonly number: number; readonly agent: Agent }[];
  readonly #waiting: ((connection: { readonly number: number; readonly agent: Agent }) => void)[] = [];
  readonly #answers: LoadAnswer[] = [];
  #running = 0;

  constructor(spec: LoadSpec) {
    this.#spec = spec;
    const { host } = new URL(spec.http);
    // Clients of one address share a connection; two spellings of it make two, which two workers may serve.
    this.#commands = [new CommandClient(host), new CommandClient(`ipv4:${host}`)];
    this.#idle = Array.from({ length: CONNECTIONS_COUNT }, (_, number) => ({
      number,
      agent: new Agent({ keepAlive: true, maxSockets: 1 }),
    }));
  }

  /** Asks at the steady rate until `signal` aborts, then waits for the last answer. */
  async run(signal: AbortSignal): Promise<void> {
    const report = setInterval(() => this.#report(), REPORT_EVERY_MS);
    const startMs = performance.now();
    for (let sent = 0; !signal.aborted; await sleep(TICK_MS)) {
      const due = ((performance.now() - startMs) * this.#spec.requestsPerSecond) / 1_000;
      for (; sent < due; sent += 1) void this.#ask(sent);
    }
    while (this.#running > 0) await sleep(TICK_MS);
    clearInterval(report);
    this.#report();
  }

  [Symbol.dispose](): void {
    for (const client of this.#commands) client[Symbol.dispose]();
    for (const { agent } of this.#idle) agent.destroy();
  }

  async #ask(index: number): Promise<void> {
    this.#running += 1;
    const tenant = this.#spec.tenants[(index >> 1) % this.#spec.tenants.length] ?? '';
    const asked = { id: `load-${process.pid}-${index}`, tenant };
    const kind = index % 2 === 0 ? 'projection' : 'aggregate';
    const sentAt = Date.now();
    const startMs = performance.now();
    const outcome = kind === 'projection' ? await this.#query(asked) : await this.#command(asked, index);
    this.#answers.push({ ...asked, kind, sentAt, tookMs: performance.now() - startMs, ...outcome });
    this.#running -= 1;
  }

  /** On a connection that nobody else uses meanwhile, so that the answers of each have an order. */
  async #query({ id, tenant }: Asked): Promise<Outcome> {
    const connection =
      this.#idle.pop() ??
      (await new Promise<{ readonly number: number; readonly agent: Agent }>((resolve) => this.#waiting.push(resolve)));
    const outcome = await this.#post({ id, tenant }, connection.agent);
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else next(connection);
    return { ...outcome, connection: connection.number };
  }

  #post({ id, tenant }: Asked, agent: Agent): Promise<Omit<Outcome, 'connection'>> {
    return new Promise((resolve) => {
      const failed = (error: Error) => resolve({ isServed: false, status: error.message, servedBy: '', revision: 0 });
      const outgoing = request(new URL('/v1/query/load', this.#spec.http), {
        agent,
        method: 'POST',
        headers: {
          ...this.#headers({ id, tenant }),
          'content-type': 'application/json',
          'content-length': QUERY.length,
        },
        timeout: TIMEOUT_MS,
      });
      outgoing.on('response', (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          body += part;
        });
        response.on('error', failed);
        response.on('end', () => {
          const isServed = response.statusCode === 200;
          resolve({
            isServed,
            status: String(response.statusCode),
            servedBy: String(response.headers[HEADER.servedBy] ?? ''),
            revision: Number(response.headers[HEADER.routingRevision] ?? 0),
            ...(isServed ? { epoch: epochIn(body) } : { body: body.slice(0, BODY_SHOWN_CHARS) }),
          });
        });
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')));
      outgoing.on('error', failed);
      outgoing.end(QUERY);
    });
  }

  async #command({ id, tenant }: Asked, index: number): Promise<Outcome> {
    const client = this.#commands[(index >> 1) % this.#commands.length];
    if (client === undefined) throw new Error('there are clients');
    const command = {
      aggregate_type: 'order',
      aggregate_id: String(index % 97),
      command_id: randomUUID(),
      command_type: 'order.place',
      payload: { number: index },
    };
    const metadata = metadataOf(this.#headers({ id, tenant }));
    const { error, headers, trailers } = await client.submit(command, metadata, { deadlineMs: TIMEOUT_MS });
    // A status without a message has its headers in the trailers.
    const header = (name: string): string => String(headers?.get(name)[0] ?? trailers?.get(name)[0] ?? '');
    return {
      connection: -1,
      isServed: error === undefined,
      status: error === undefined ? 'grpc 0' : `grpc ${error.code}`,
      servedBy: header(HEADER.servedBy),
      revision: Number(header(HEADER.routingRevision)),
      ...(error === undefined ? {} : { body: error.details.slice(0, BODY_SHOWN_CHARS) }),
    };
  }

  #headers({ id, tenant }: Asked): Record<string, string> {
    return {
      authorization: `Bearer ${this.#spec.token}`,
      [HEADER.tenantId]: tenant,
      [HEADER.correlationId]: id,
    };
  }

  #report(): void {
    if (this.#answers.length > 0) tell({ answers: this.#answers.splice(0) });
  }
}

/** A projection node answers with the headers it got. */
const epochIn = (body: string): number => Number(Object(JSON.parse(body)).headers?.[HEADER.placementEpoch]);

const tell = (message: LoadMessage): void => void process.send?.(message);

const stop = new AbortController();
process.once('message', (spec: LoadSpec) => void serve(spec));
process.once('disconnect', () => process.exit());

async function serve(spec: LoadSpec): Promise<void> {
  process.once('message', () => stop.abort());
  {
    using load = new Load(spec);
    await load.run(stop.signal);
  }
  tell({ isDone: true });
}
