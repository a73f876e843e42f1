import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Move, PutMove } from './bench-routing.ts';

const WORKER = fileURLToPath(new URL('./move-publisher-worker.ts', import.meta.url));

/** To the worker. `id` comes back in what it says of this one. */
export type PublisherRequest = { readonly id: number } & (
  | { readonly action: 'connect'; readonly nats: string }
  | { readonly action: 'publish_tenants'; readonly tenants: number; readonly shardsPerKind: number }
  | { readonly action: 'move'; readonly tenant: string }
);

/** From the worker. */
export type PublisherReport = { readonly id: number } & (
  | { readonly event: 'put'; readonly move: PutMove }
  | { readonly event: 'done'; readonly result?: Move | number }
  | { readonly event: 'failed'; readonly reason: string }
);

type Order = PublisherRequest extends infer Each ? (Each extends unknown ? Omit<Each, 'id'> : never) : never;

interface Waiting {
  readonly onPut: (move: PutMove) => void;
  readonly resolve: (result: Move | number | undefined) => void;
  readonly reject: (error: Error) => void;
}

/**
 * An operator in a process of its own: it holds the whole routing document, and the pauses that its memory costs must
 * not be taken for those of the gateway or of its clients.
 */
export class MovePublisher implements AsyncDisposable {
  readonly #worker: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;

  private constructor() {
    this.#worker = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#worker.on('message', (report: PublisherReport) => this.#hear(report));
    this.#worker.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the publishing process has ended'));
    });
  }

  /** @param nats the URL of the server */
  static async start(nats: string): Promise<MovePublisher> {
    const publisher = new MovePublisher();
    await publisher.#ask({ action: 'connect', nats });
    return publisher;
  }

  /** As `BenchRouting.publishTenants`. @returns the revision */
  async publishTenants(size: { readonly tenants: number; readonly shardsPerKind: number }): Promise<number> {
    return Number(await this.#ask({ action: 'publish_tenants', ...size }));
  }

  /** As `BenchRouting.move`. */
  async move(tenant: string, onPut: (move: PutMove) => void = () => undefined): Promise<Move> {
    const move = await this.#ask({ action: 'move', tenant }, onPut);
    if (typeof move !== 'object') throw new Error('the publishing process answered something else');
    return move;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#worker, 'exit');
    this.#worker.kill('SIGKILL');
    if (this.#worker.exitCode === null) await ended;
  }

  #ask(order: Order, onPut: (move: PutMove) => void = () => undefined): Promise<Move | number | undefined> {
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Move | number | undefined>();
    this.#waiting.set(id, { onPut, resolve, reject });
    this.#worker.send({ id, ...order } satisfies PublisherRequest);
    return promise;
  }

  #hear(report: PublisherReport): void {
    const waiting = this.#waiting.get(report.id);
    if (report.event === 'put') {
      waiting?.onPut(report.move);
      return;
    }
    this.#waiting.delete(report.id);
    if (report.event === 'done') waiting?.resolve(report.result);
    else waiting?.reject(new Error(report.reason));
  }
}
