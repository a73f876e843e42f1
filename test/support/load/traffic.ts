import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('./traffic-worker.ts', import.meta.url));
/** The last answer and the report of it: the timeout of a request and more. */
const STOP_DEADLINE_MS = 30_000;

/** One kind of request, sent in turn with the others. */
export interface Flow {
  readonly name: string;
  readonly kind: 'query' | 'command' | 'runner';
  readonly wire: 'http1' | 'http2' | 'grpc';
  readonly tls: boolean;
  /** Of a command: where its id stands. `none` is refused by the gateway, and no node may see it. */
  readonly id?: 'message' | 'key' | 'none';
  /** Further bytes of the body. */
  readonly padBytes?: number;
}

/** Whether the gateway may send it again when a shard fails: then no failure of an endpoint may reach the client. */
export const isRepeatable = ({ kind, id }: Pick<Flow, 'kind' | 'id'>): boolean =>
  kind === 'query' || (kind === 'command' && id !== 'none');

export interface TrafficSpec {
  /** URLs of the two listeners. */
  readonly http: string;
  readonly https: string;
  /** File of the authority that the TLS listener is trusted by. */
  readonly ca: string;
  readonly token: string;
  /** Asked in turn. */
  readonly tenants: readonly string[];
  readonly flows: readonly Flow[];
  /** Of all flows together, at a steady rate whatever the answers take. */
  readonly requestsPerSecond: number;
  /** How long a node takes for each, so that some are under way at any time. */
  readonly delayMs: number;
}

/** One request and what became of it. */
export interface TrafficAnswer {
  /** Its correlation id, by which it is found in the access log, its command id and the marker in its body. */
  readonly id: string;
  /** Name of its flow. */
  readonly flow: string;
  readonly tenant: string;
  /** Whether it was answered as it had to be; of a command without an id that is the refusal. */
  readonly isRight: boolean;
  /** `200`, `grpc 14`, or what kept an answer from coming. */
  readonly status: string;
  /** The error code of the gateway, '' without. */
  readonly code: string;
  /** Start of what was answered when it was not right. */
  readonly body?: string;
  /** Unix time in ms. */
  readonly sentAt: number;
  readonly tookMs: number;
}

/** A connection that ended without being asked to by this client. */
export interface LostConnection {
  readonly flow: string;
  readonly tls: boolean;
  /** Unix time in ms. */
  readonly at: number;
  /** Whether an answer on it had said so (`connection: close`, GOAWAY): nothing is lost by such an end. */
  readonly wasTold: boolean;
}

/** From the worker. */
export type TrafficMessage =
  | { readonly answers: readonly TrafficAnswer[]; readonly lost: readonly LostConnection[] }
  | { readonly isDone: true };
/** To the worker, after the spec. */
export type TrafficOrder = { readonly token: string } | { readonly stop: true };

export interface Traffic extends AsyncDisposable {
  /** What has been answered so far, in order of the answers. */
  readonly answers: readonly TrafficAnswer[];
  readonly lost: readonly LostConnection[];
  /** From now on with another access token. */
  renew(token: string): void;
  /** Sends no more, and waits for the last answer. */
  stop(): Promise<void>;
}

/** Starts clients in a process of their own. @throws Error from `stop` when that process ended by itself */
export function startTraffic(spec: TrafficSpec): Traffic {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: spec.ca };
  const child = fork(WORKER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env });
  const ended = once(child, 'exit');
  const answers: TrafficAnswer[] = [];
  const lost: LostConnection[] = [];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  child.on('message', (message: TrafficMessage) => {
    if ('isDone' in message) resolve();
    else {
      answers.push(...message.answers);
      lost.push(...message.lost);
    }
  });
  child.send(spec);
  const order = (what: TrafficOrder) => child.send(what);
  return {
    answers,
    lost,
    renew: (token) => void order({ token }),
    async stop() {
      order({ stop: true });
      const died = ended.then(() => Promise.reject(new Error(`the traffic ended with ${child.exitCode}`)));
      const overdue = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error('the traffic does not end')), STOP_DEADLINE_MS).unref();
      });
      await Promise.race([done, died, overdue]);
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
