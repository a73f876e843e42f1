import { Agent, request } from 'node:http';
import { monotonicMs } from './harness.ts';

/** One answered query: which shard served it, by which routing revision. */
export interface Served {
  readonly status: number;
  /** `<kind>/<shard>`, '' on an error. */
  readonly servedBy: string;
  readonly revision: number;
  /** `monotonicMs` */
  readonly receivedAtMs: number;
}

const TIMEOUT_MS = 5_000;
const BODY = '{}';

/** A client with one kept connection to the edge: an Envoy worker serves all of its requests. */
export class EdgeProber implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: URL;
  readonly #token: string;

  constructor(http: string, token: string) {
    this.#url = new URL('/v1/query/bench', http);
    this.#token = token;
  }

  /** Queries a projection for a tenant. @returns undefined when no answer came */
  query(tenant: string): Promise<Served | undefined> {
    return new Promise((resolve) => {
      const outgoing = request(this.#url, {
        agent: this.#agent,
        method: 'POST',
        headers: {
          authorization: `Bearer ${this.#token}`,
          'x-tenant-id': tenant,
          'content-type': 'application/json',
          'content-length': BODY.length,
        },
        timeout: TIMEOUT_MS,
      });
      outgoing.on('response', (response) => {
        response.resume();
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            servedBy: String(response.headers['x-served-by'] ?? ''),
            revision: Number(response.headers['x-routing-revision'] ?? 0),
            receivedAtMs: monotonicMs(),
          }),
        );
      });
      outgoing.on('timeout', () => outgoing.destroy());
      outgoing.on('error', () => resolve(undefined));
      outgoing.end(BODY);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** Kept connections, used by one at a time. */
export class ProberPool implements Disposable {
  readonly #make: () => EdgeProber;
  readonly #idle: EdgeProber[] = [];
  readonly #all: EdgeProber[] = [];

  constructor(make: () => EdgeProber) {
    this.#make = make;
  }

  async use<Value>(work: (prober: EdgeProber) => Promise<Value>): Promise<Value> {
    const prober = this.#idle.pop() ?? this.#add();
    try {
      return await work(prober);
    } finally {
      this.#idle.push(prober);
    }
  }

  #add(): EdgeProber {
    const prober = this.#make();
    this.#all.push(prober);
    return prober;
  }

  [Symbol.dispose](): void {
    for (const prober of this.#all) prober[Symbol.dispose]();
  }
}
