import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SERVICE_KINDS, type ServiceKind } from '#domain/ids.ts';

const WORKER = fileURLToPath(new URL('./endpoint-worker.ts', import.meta.url));
const START_DEADLINE_MS = 30_000;

export type EndpointPorts = Readonly<Record<ServiceKind, number>>;

export interface EndpointSpec {
  readonly shard: string;
  /** File it appends what it executes to. */
  readonly journal: string;
  /** Absent: any free ones. */
  readonly ports?: EndpointPorts;
}

/** An endpoint of one shard of every kind, in one process, that can be killed and started again at its ports. */
export class EndpointProcess implements AsyncDisposable {
  readonly #spec: EndpointSpec;
  #ports: EndpointPorts | undefined;
  #child: ChildProcess | undefined;

  private constructor(spec: EndpointSpec) {
    this.#spec = spec;
  }

  static async start(spec: EndpointSpec): Promise<EndpointProcess> {
    const endpoint = new EndpointProcess(spec);
    await endpoint.start();
    return endpoint;
  }

  get ports(): EndpointPorts {
    if (this.#ports === undefined) throw new Error('the endpoint was never started');
    return this.#ports;
  }

  /** Starts it, or starts it again; ends when it listens. */
  async start(): Promise<void> {
    const child = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    const started = once(child, 'message', { signal: AbortSignal.timeout(START_DEADLINE_MS) });
    child.send({ ...this.#spec, ...(this.#ports === undefined ? {} : { ports: this.#ports }) } satisfies EndpointSpec);
    const [ports]: EndpointPorts[] = await started;
    this.#ports = ports;
  }

  /** kill -9; ends when it has ended. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** Markers of what it executed in all of its lives, in order, with the kind before each. */
  async executed(): Promise<readonly string[]> {
    const text = await readFile(this.#spec.journal, 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Two endpoints of the shard `pair`, each with its journal in `folder`. */
export const startPair = (folder: string): Promise<readonly [EndpointProcess, EndpointProcess]> =>
  Promise.all([
    EndpointProcess.start({ shard: 'pair', journal: join(folder, 'executed-a.txt') }),
    EndpointProcess.start({ shard: 'pair', journal: join(folder, 'executed-b.txt') }),
  ]);

type Document = Readonly<Record<string, unknown>>;

/**
 * A routing document with the shard `pair` of every kind, and the tenants on it for every kind.
 * @param options with a health check or not
 */
export function withPair(
  document: Document,
  pair: readonly EndpointProcess[],
  options: { readonly tenants: readonly string[]; readonly hasHealth: boolean },
): Document {
  const changed: Record<string, unknown> = { ...document };
  for (const kind of SERVICE_KINDS) {
    const endpoints = pair.map(({ ports }) => ({ address: '127.0.0.1', port: ports[kind] }));
    const health = kind === 'aggregate' ? { grpc: true } : { path: '/ready' };
    const shard = { endpoints, ...(options.hasHealth ? { health } : {}) };
    changed[`${kind}_shards`] = { ...Object(document[`${kind}_shards`]), pair: shard };
    const placed = Object.fromEntries(options.tenants.map((tenant) => [tenant, 'pair']));
    changed[`${kind}_placement`] = { ...Object(document[`${kind}_placement`]), ...placed };
  }
  return changed;
}
