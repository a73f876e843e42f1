import { type FileRegistry, fromBinary } from '@bufbuild/protobuf';
import { messageType } from '#platform/proto-registry.ts';

/** A DeltaDiscoveryRequest in the terms of the state machine. */
export interface DeltaRequest {
  readonly typeUrl: string;
  /** Only sure to be there in the first request of a stream. */
  readonly nodeId: string | undefined;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: Readonly<Record<string, string>>;
  /** '' when the request answers no response. */
  readonly nonce: string;
  /** Present: the response with this nonce was rejected (NACK). */
  readonly error: string | undefined;
}

const REQUEST_TYPE = 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
const ERROR_MAX_CHARS = 4_096;

/** @throws Error when the bytes are no such message */
export function parseDeltaRequest(registry: FileRegistry, bytes: Uint8Array): DeltaRequest {
  // What the registry makes follows the descriptor: these are the fields of the message, always present in proto3.
  const message = fromBinary(messageType(registry, REQUEST_TYPE), bytes) as unknown as {
    readonly node?: { readonly id: string };
    readonly typeUrl: string;
    readonly resourceNamesSubscribe: readonly string[];
    readonly resourceNamesUnsubscribe: readonly string[];
    readonly initialResourceVersions: Readonly<Record<string, string>>;
    readonly responseNonce: string;
    readonly errorDetail?: { readonly message: string };
  };
  return {
    typeUrl: message.typeUrl,
    nodeId: message.node?.id,
    subscribe: message.resourceNamesSubscribe,
    unsubscribe: message.resourceNamesUnsubscribe,
    initialVersions: message.initialResourceVersions,
    nonce: message.responseNonce,
    error: message.errorDetail === undefined ? undefined : message.errorDetail.message.slice(0, ERROR_MAX_CHARS),
  };
}
