import { Agent, request } from 'node:http';
import { type Failure, type Outcome, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import { fail } from '#domain/result.ts';
import type { PasswordHasher } from '#ports/password-hasher.ts';

/** As many as the hasher can hold and run at once, with room for those it refuses. */
const SOCKETS_MAX_COUNT = LIMITS.hashQueueMaxCount * 2;

/**
 * The hasher process over its unix socket. Connections are kept; one that turns out dead (the hasher was restarted)
 * is replaced once. Each call is bounded by `hashTimeoutMs` and fails as `overloaded`, never as a wrong password.
 */
export function createHasherClient(options: {
  readonly socketPath: string;
  readonly timeoutMs?: number;
}): PasswordHasher & Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX_COUNT, maxFreeSockets: 8 });
  const timeoutMs = options.timeoutMs ?? LIMITS.hashTimeoutMs;

  const exchange = (path: string, body: string): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent,
          socketPath: options.socketPath,
          method: 'POST',
          path,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
          signal: AbortSignal.timeout(timeoutMs),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
          );
        },
      );
      outgoing.on('error', (error) => reject(new ExchangeError(error, outgoing.reusedSocket)));
      outgoing.end(body);
    });

  async function call(path: string, body: Readonly<Record<string, unknown>>): Promise<Outcome<Fields>> {
    const text = JSON.stringify(body);
    for (let attempt = 0; ; attempt += 1) {
      try {
        const reply = await exchange(path, text);
        if (reply.status === 503) return unavailable('too many passwords are being checked at the moment');
        if (reply.status !== 200) return unavailable('the password hasher refused the request');
        return succeed(parseFields(reply.text));
      } catch (error) {
        const stale = error instanceof ExchangeError && error.reusedSocket && attempt < SOCKETS_MAX_COUNT;
        if (!stale) return unavailable('the password hasher does not answer');
      }
    }
  }

  return {
    hash: async (password) => {
      const answer = await call('/hash', { password });
      if (!answer.ok) return answer;
      const { hash } = answer.value;
      return typeof hash === 'string' ? succeed(hash) : unavailable('the password hasher gave no hash');
    },
    verify: async (password, hash) => {
      const answer = await call('/verify', { password, hash: hash ?? null });
      if (!answer.ok) return answer;
      const { matches, outdated } = answer.value;
      return typeof matches === 'boolean' && typeof outdated === 'boolean'
        ? succeed({ matches, outdated })
        : unavailable('the password hasher gave no verdict');
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

type Fields = Readonly<Record<string, unknown>>;

class ExchangeError extends Error {
  readonly reusedSocket: boolean;
  constructor(cause: Error, reusedSocket: boolean) {
    super('no answer from the hasher', { cause });
    // A kept connection may have died with the old process; a new connection that fails says the hasher is away.
    this.reusedSocket = reusedSocket && cause.name !== 'TimeoutError' && cause.name !== 'AbortError';
  }
}

const unavailable = (detail: string) => fail<Failure>({ code: 'overloaded', detail, retryAfterSeconds: 1 });

function parseFields(text: string): Fields {
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
