import { stringField } from '../snapshot/protobuf-frames.ts';
import type { Resource } from '../snapshot/resource.ts';

/** Field numbers of envoy.service.discovery.v3.DeltaDiscoveryResponse. */
const RESPONSE = { typeUrl: 4, nonce: 5, removedResources: 6 } as const;

/** The bytes of a DeltaDiscoveryResponse: a small head and the ready frames of its resources. */
export function encodeDeltaResponse(response: {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
}): Buffer {
  return Buffer.concat([
    ...response.resources.map((resource) => resource.frame),
    stringField(RESPONSE.typeUrl, response.typeUrl),
    stringField(RESPONSE.nonce, response.nonce),
    ...response.removed.map((name) => stringField(RESPONSE.removedResources, name)),
  ]);
}
