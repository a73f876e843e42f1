import { HEADER } from '../headers.ts';
import { isShardName, type ServiceKind } from '../ids.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { Place, RoutingView } from './routing-view.ts';

const BAD_SHARD: Refusal = {
  reason: 'validation_failed',
  detail: `the ${HEADER.runnerShard} header does not name one shard`,
  errors: [
    {
      pointer: `/headers/${HEADER.runnerShard}`,
      code: 'pattern',
      detail: 'a shard name is 1 to 63 of a-z, 0-9, "-" and "_", with a letter or digit at both ends; once',
    },
  ],
};

/**
 * What is wrong with a shard named in a header; undefined where there is none or one in form.
 * @param name the header's value; '' where it is there several times, because no reader would know which one counts
 */
export const refuseShardName = (name: string | undefined): Refusal | undefined =>
  name === undefined || isShardName(name) ? undefined : BAD_SHARD;

const NO_SHARD = refusal('not_found', 'there is no shard of this name');
const UNPLACED = refusal('tenant_unplaced', 'this tenant is not placed for this kind of service');
const NO_ROUTING: Refusal = {
  reason: 'routing_unavailable',
  detail: 'the routing revision of this request is not available; try again',
  retryAfterSeconds: 1,
};

/** Where a request goes at a routing revision: to the shard it names, else to the one its tenant is placed on. */
export function placeRequest(
  asked: {
    readonly kind: ServiceKind;
    readonly namedShard: string | undefined;
    readonly tenantId: string | undefined;
  },
  routing: RoutingView,
): Place | Refusal | 'wait' {
  if (routing.state === 'ahead') return 'wait';
  if (routing.state === 'absent') return NO_ROUTING;
  if (asked.namedShard !== undefined) return routing.shard(asked.kind, asked.namedShard) ?? NO_SHARD;
  if (asked.tenantId === undefined) return NO_ROUTING;
  return routing.placement(asked.tenantId, asked.kind) ?? UNPLACED;
}
