import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsLink } from '#adapters/nats/connection.ts';
import { NatsKeyValueStore } from '#adapters/nats/key-value-store.ts';
import { RevisionStore } from '#adapters/routing/revision-store.ts';
import { publishChanges, publishDocument } from '#app/publish-revision.ts';
import { ask, type Person } from '../edge-client.ts';
import { silentLog } from '../nats.ts';

/**
 * Publishes a routing document or `{"changes":[...]}` and says at which revision it stands. Tries again until it is
 * published: repeats do no harm, because what is in force already is left as it is.
 */
export interface Publisher {
  publish(body: object): Promise<number>;
  /** Attempts that ended with "not now". */
  readonly retries: number;
}

/** How an attempt ended: published, or with a reason; `isFinal` when another one would end the same way. */
type Attempt = { readonly revision: number } | { readonly reason: string; readonly isFinal: boolean };

const DEADLINE_MS = 60_000;
const RETRY_AFTER_MS = 100;
const RETRIED_STATUSES = new Set([429, 500, 502, 503, 504]);

/** By the admin API, as operators do: the answer comes when Envoys route by the revision, or after a while. */
export const publisherByApi = (http: string, admin: Person): Publisher =>
  untilPublished(async (body) => {
    try {
      const answer = await ask(http, '/admin/routing/revisions', { token: admin.token, body });
      if (answer.status === 200) return { revision: Number(answer.body['revision']) };
      return { reason: `${answer.status} ${answer.text}`, isFinal: !RETRIED_STATUSES.has(answer.status) };
    } catch (error) {
      return { reason: String(error), isFinal: false };
    }
  });

/**
 * Straight to the storage, as another replica would: each is published as soon as the one before is, and nobody waits
 * for Envoys in between. Only with this one does everything depend on the order that xds keeps.
 */
export function publisherByStorage(link: NatsLink): Publisher {
  const store = new RevisionStore({ store: new NatsKeyValueStore(link, 'ROUTING', silentLog), log: silentLog });
  const ports = { store, clock: { nowMs: () => Date.now() } };
  return untilPublished(async (body) => {
    const outcome = Object.hasOwn(body, 'changes')
      ? await publishChanges(ports, { by: 'test', changes: body })
      : await publishDocument(ports, { by: 'test', document: body });
    if (outcome.ok) return { revision: outcome.value.revision };
    return { reason: outcome.error.detail, isFinal: outcome.error.code !== 'storage_unavailable' };
  });
}

function untilPublished(attempt: (body: object) => Promise<Attempt>): Publisher {
  let retries = 0;
  return {
    get retries() {
      return retries;
    },
    async publish(body) {
      for (const endsAtMs = performance.now() + DEADLINE_MS; ; await sleep(RETRY_AFTER_MS)) {
        const outcome = await attempt(body);
        if ('revision' in outcome) return outcome.revision;
        if (outcome.isFinal || performance.now() > endsAtMs) {
          throw new Error(`a publication is refused: ${outcome.reason}`);
        }
        retries += 1;
      }
    },
  };
}
