import type { ReadyCondition } from './http/system-routes.ts';

/** What a replica must have to decide and route; asked anew at each `GET /ready`. */
export interface ReadinessInputs {
  readonly accessUsable: boolean;
  readonly accessStalenessMs: number;
  readonly maxStalenessMs: number;
  /** Newest routing revision held, 0 = none. */
  readonly routingRevision: number;
  readonly hasSigningKey: boolean;
  readonly natsConnected: boolean;
}

/**
 * The conditions of `/ready`, each by name. Being cut off from NATS is told, but does not make a replica unready while
 * what it holds is recent enough to decide by: taking out every replica at once would turn an outage of the storage
 * into an outage of all traffic.
 */
export function readinessOf(inputs: ReadinessInputs): readonly ReadyCondition[] {
  const fresh = inputs.accessUsable && inputs.accessStalenessMs <= inputs.maxStalenessMs;
  return [
    {
      name: 'access_index',
      ok: fresh,
      ...(fresh ? {} : { detail: inputs.accessUsable ? 'not heard from the store for too long' : 'not loaded yet' }),
    },
    {
      name: 'routing_revision',
      ok: inputs.routingRevision > 0,
      detail:
        inputs.routingRevision > 0 ? `revision ${inputs.routingRevision}` : 'no routing revision was published yet',
    },
    {
      name: 'signing_key',
      ok: inputs.hasSigningKey,
      ...(inputs.hasSigningKey ? {} : { detail: 'the signing key is not in use yet' }),
    },
    {
      name: 'storage',
      ok: true,
      detail: inputs.natsConnected ? 'connected' : 'not connected: deciding from memory, writes are refused',
    },
  ];
}
