import type { Log } from '#platform/log.ts';
import type { Metrics } from '#platform/metrics.ts';
import type { QuarantinedShard } from '#ports/replica-board.ts';
import type { AdsSession } from './ads/session.ts';
import type { SessionEvent } from './ads/session-event.ts';

/** Counts and logs what Envoys answer. A rejected resource is an error for the on-call engineer: the old one stays. */
export function watchEvents({ metrics, log }: { readonly metrics: Metrics; readonly log: Log }) {
  const acks = metrics.counter('gateway_xds_stamps_acknowledged_total', 'Stamps acknowledged by Envoys.');
  const nacks = metrics.counter('gateway_xds_rejections_total', 'Responses rejected by Envoys.', ['type']);
  const unknownTypes = new Set<string>();
  return (session: AdsSession, event: SessionEvent): void => {
    if (event.kind === 'stamp_acked') acks.inc();
    if (event.kind === 'rejected') {
      nacks.inc({ type: event.type });
      log.error(
        { node: session.node, type: event.type, names: event.names.slice(0, 20), error: event.error },
        'rejected',
      );
    }
    if (event.kind === 'unknown_type' && unknownTypes.size < 100 && !unknownTypes.has(event.typeUrl)) {
      unknownTypes.add(event.typeUrl);
      log.warn({ node: session.node, typeUrl: event.typeUrl }, 'a resource type that is not served was asked for');
    }
  };
}

/** Counts the shards that are kept back, and logs each that begins or ceases to be. */
export function watchQuarantine({ metrics, log }: { readonly metrics: Metrics; readonly log: Log }) {
  const count = metrics.gauge('gateway_xds_quarantined', 'Shard entries kept at their last good value or left out.');
  let known = new Map<string, QuarantinedShard>();
  return (quarantined: readonly QuarantinedShard[]): void => {
    const before = known;
    known = new Map(quarantined.map((entry) => [`${entry.kind}/${entry.shard}`, entry]));
    count.set(known.size);
    for (const [name, entry] of known) {
      const was = before.get(name);
      if (was?.at !== entry.at || was.serving !== entry.serving) log.error({ ...entry }, 'shard quarantined');
    }
    for (const [name, { kind, shard, pointer }] of before) {
      if (!known.has(name)) log.info({ kind, shard, pointer }, 'shard released from quarantine');
    }
  };
}
