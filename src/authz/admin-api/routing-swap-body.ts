import type { SwapRecord } from '#app/routing-swap.ts';
import { id } from '../http/bodies.ts';
import { flag, integer, list, object, text, time } from '../http/schema.ts';

/** How a swap record looks in the admin API: times as text, durations in milliseconds since the publication. */

const NODE = text({ maxLength: 256 });

const REJECTION = object({
  type: text({ maxLength: 256 }),
  names: list(NODE),
  error: text({ maxLength: 2_000 }),
  at: time(),
});

const ENVOY = object(
  {
    node: NODE,
    live: flag(),
    serving: flag(),
    rejected: list(REJECTION),
  },
  {
    sent_at: time(),
    acked_at: time(),
    duration_ms: integer('from the publication to the acknowledgement'),
    stamp: integer('the stamp that brought it, where several revisions went in one'),
  },
);

export const SWAP_SCHEMA = object(
  {
    revision: integer(),
    published_at: time(),
    by: text({ maxLength: 256 }),
    note: text({ maxLength: 1_000 }),
    complete: flag(),
    requests: integer('decided by exactly this revision, as far as live replicas remember'),
    envoys: list(ENVOY),
    xds: list(object({ replica: id('replica') }, { loaded_at: time(), stamped_at: time() })),
    authz: list(
      object(
        { replica: id('replica'), requests: integer() },
        { held_at: time(), first_decided_at: time(), last_decided_at: time() },
      ),
    ),
    silent: list(text({ maxLength: 128, description: 'a live replica that did not answer' })),
  },
  {
    completed_at: time(),
    duration_ms: integer('from the publication until the last live Envoy acknowledged'),
    first_decided_at: time(),
    last_decided_at: time(),
  },
);

export const swapBody = (swap: SwapRecord) => ({
  revision: swap.revision,
  published_at: textOf(swap.publishedAtMs),
  by: swap.by,
  note: swap.note,
  complete: swap.complete,
  ...at('completed_at', swap.completedAtMs),
  ...since(swap.publishedAtMs, swap.completedAtMs),
  ...at('first_decided_at', swap.firstDecidedAtMs),
  ...at('last_decided_at', swap.lastDecidedAtMs),
  requests: swap.requests,
  envoys: swap.envoys.map((envoy) => ({
    node: envoy.node,
    live: envoy.live,
    serving: envoy.serving,
    ...at('sent_at', envoy.sentAtMs),
    ...at('acked_at', envoy.ackedAtMs),
    ...since(swap.publishedAtMs, envoy.ackedAtMs),
    ...(envoy.stamp === undefined ? {} : { stamp: envoy.stamp }),
    rejected: envoy.rejected.map(({ atMs, ...rejection }) => ({ ...rejection, at: textOf(atMs) })),
  })),
  xds: swap.xds.map(({ replica, loadedAtMs, stampedAtMs }) => ({
    replica,
    ...at('loaded_at', loadedAtMs),
    ...at('stamped_at', stampedAtMs),
  })),
  authz: swap.authz.map(({ replica, heldAtMs, firstDecidedAtMs, lastDecidedAtMs, requests }) => ({
    replica,
    ...at('held_at', heldAtMs),
    ...at('first_decided_at', firstDecidedAtMs),
    ...at('last_decided_at', lastDecidedAtMs),
    requests,
  })),
  silent: swap.silent,
});

const textOf = (atMs: number): string => new Date(atMs).toISOString();

/** The time under its name; nothing when it is not known. */
const at = (name: string, atMs: number | undefined): Record<string, string> =>
  atMs === undefined ? {} : { [name]: textOf(atMs) };

/** Clocks of two machines may differ a little; nothing takes less than no time. */
const since = (fromMs: number, toMs: number | undefined): { readonly duration_ms?: number } =>
  toMs === undefined ? {} : { duration_ms: Math.max(0, toMs - fromMs) };
