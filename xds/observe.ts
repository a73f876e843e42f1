import type { Log } from '#platform/log.ts';
import type { Metrics } from '#platform/metrics.ts';
import type { AdsSession, SessionEvent } from './ads/session.ts';

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
