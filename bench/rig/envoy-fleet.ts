import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Receipt } from './modelled-envoy.ts';

const WORKER = fileURLToPath(new URL('./envoy-fleet-worker.ts', import.meta.url));

/** To a worker. */
export type FleetMessage =
  | { readonly action: 'connect'; readonly address: string; readonly nodes: readonly string[] }
  | { readonly action: 'prepare' | 'reconnect' };

/** From a worker. */
export interface FleetReceipts {
  readonly receipts: readonly Receipt[];
}

export interface FleetSize {
  readonly count: number;
  /** Over which they are spread. */
  readonly processes: number;
}

/** Modelled Envoys in some processes, and when each of them was told of which routing revision. */
export class EnvoyFleet implements AsyncDisposable {
  readonly #nodes: readonly string[];
  readonly #workers: readonly ChildProcess[];
  readonly #receipts = new Map<string, Receipt[]>();

  /** @param address host:port of the ADS server; @param name what the node ids begin with */
  constructor({ count, processes, address, name }: FleetSize & { readonly address: string; readonly name: string }) {
    this.#nodes = Array.from({ length: count }, (_, index) => `${name}-${index}`);
    this.#workers = Array.from({ length: processes }, () =>
      fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    );
    for (const [index, worker] of this.#workers.entries()) {
      worker.on('message', ({ receipts }: FleetReceipts) => this.#note(receipts));
      const nodes = this.#nodes.filter((_, number) => number % processes === index);
      worker.send({ action: 'connect', address, nodes } satisfies FleetMessage);
    }
  }

  /** Gets ready for `reconnect`: beforehand, so that its cost is not in what is measured. */
  prepareReconnect(): void {
    this.#tell({ action: 'prepare' });
  }

  /** All break their connections and come back, in one moment. */
  reconnect(): void {
    this.#tell({ action: 'reconnect' });
  }

  /** When each Envoy was first told of this revision or a newer one; Infinity: not yet. */
  arrivals(revision: number): readonly number[] {
    return this.#nodes.map(
      (node) => this.#receipts.get(node)?.find(({ stamp }) => stamp >= revision)?.atMs ?? Number.POSITIVE_INFINITY,
    );
  }

  /** Whether all of them route by this revision or a newer one. @throws Error when a worker has ended */
  haveAll(revision: number): boolean {
    if (this.#workers.some((worker) => worker.exitCode !== null)) throw new Error('a process of Envoys has ended');
    return this.#nodes.every((node) => (this.#receipts.get(node)?.at(-1)?.stamp ?? 0) >= revision);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.#workers) {
      const ended = once(worker, 'exit');
      worker.kill('SIGKILL');
      if (worker.exitCode === null) await ended;
    }
  }

  #tell(message: FleetMessage): void {
    for (const worker of this.#workers) worker.send(message);
  }

  #note(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) {
      const own = this.#receipts.get(receipt.node) ?? [];
      own.push(receipt);
      this.#receipts.set(receipt.node, own);
    }
  }
}
