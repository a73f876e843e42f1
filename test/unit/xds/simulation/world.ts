import { clusterName } from '#domain/ids.ts';
import type { Shard, ShardDirectory } from '#domain/routing/types.ts';
import { ControlPlane } from '../../../../xds/control-plane.ts';
import { encodeResource, stampPrefix } from '../../../../xds/snapshot/resource.ts';

/** Time as the test wants it. */
export class Clock {
  nowMs = 0;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  readonly schedule = (delayMs: number, task: () => void): void => {
    this.#tasks.push({ atMs: this.nowMs + delayMs, task });
  };

  advance(byMs: number): void {
    const untilMs = this.nowMs + byMs;
    for (;;) {
      const next = this.#tasks.filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#tasks = this.#tasks.filter((task) => task !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.task();
    }
    this.nowMs = untilMs;
  }
}

/** A control plane whose resources are readable texts instead of Envoy's messages; `invalid` ones cannot be encoded. */
export function newPlane(clock: Clock, invalid: (content: string) => boolean = () => false) {
  const events: { readonly node: string | undefined; readonly kind: string; readonly names?: readonly string[] }[] = [];
  const plane = new ControlPlane({
    routeName: 'gateway',
    translateCluster: (kind, shard, { protocol }) => ({
      name: clusterName(kind, shard),
      json: { cluster: clusterName(kind, shard), protocol },
    }),
    // As the program has it: of a shard with a DNS name Envoy gets a cluster alone.
    translateEndpoints: (kind, shard, { endpoints }) =>
      endpoints.some(({ address }) => address === RESOLVED_NAME)
        ? undefined
        : { name: clusterName(kind, shard), json: { endpoints: endpoints.map(({ port }) => port) } },
    encode: (type, { name, json }) => {
      const content = JSON.stringify(json);
      if (invalid(content)) throw new Error(`${name} cannot be encoded`);
      return encodeResource({ type, name, message: Buffer.from(content) });
    },
    encodeRoutes: (stamp) =>
      encodeResource({
        type: 'route',
        name: 'gateway',
        message: Buffer.from(JSON.stringify({ stamp })),
        versionPrefix: stampPrefix(stamp),
      }),
    listeners: [{ name: 'edge-plain', json: { listener: 'edge-plain' } }],
    nowMs: () => clock.nowMs,
    schedule: clock.schedule,
    onEnvoysChanged: () => undefined,
    onEvent: ({ node }, event) =>
      events.push({ node, kind: event.kind, ...(event.kind === 'rejected' ? { names: event.names } : {}) }),
  });
  return { plane, events };
}

const NONE: ShardDirectory = new Map();
const RESOLVED_NAME = 'shard.test';

/** A revision with these aggregate shards: name and port of the one endpoint, 0 for one whose name Envoy resolves. */
export const revisionOf = (revision: number, shards: Readonly<Record<string, number>>) => ({
  revision,
  shards: {
    aggregate: new Map(Object.entries(shards).map(([name, port]) => [name, shardAt(port)])),
    projection: NONE,
    runner: NONE,
  },
});

const shardAt = (port: number): Shard => ({
  endpoints: [{ address: port === 0 ? RESOLVED_NAME : '10.0.0.1', port, weight: 1 }],
  protocol: 'h2',
});
