import type { FileRegistry, JsonObject } from '@bufbuild/protobuf';
import { Metadata, type StatusObject, type status } from '@grpc/grpc-js';
import { encodeJson } from '#platform/proto-registry.ts';

/** A status that a call ends with: code, text, and google.rpc details in protobuf JSON (with `@type`). */
export interface CallFailure {
  readonly code: status;
  readonly message: string;
  readonly details: readonly JsonObject[];
  /** Further metadata of the answer, texts. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The type of a google.rpc detail, as `@type` has it. */
export const detailType = (name: 'BadRequest' | 'ErrorInfo' | 'PreconditionFailure'): string =>
  `type.googleapis.com/google.rpc.${name}`;

/**
 * What grpc-js wants as the error of a call. The details travel in `grpc-status-details-bin` as a google.rpc.Status
 * (https://github.com/grpc/proposal/blob/master/A40-csharp-api-for-grpc-status-details.md names the header).
 */
export function statusOf(registry: FileRegistry, failure: CallFailure, servedBy: string): StatusObject {
  const metadata = new Metadata();
  // Together with the status, not as initial metadata: the answer stays "trailers only", which Envoy can retry.
  metadata.set('x-served-by', servedBy);
  for (const [name, value] of Object.entries(failure.metadata ?? {})) metadata.set(name, value);
  const full = { code: failure.code, message: failure.message, details: [...failure.details] };
  metadata.set('grpc-status-details-bin', Buffer.from(encodeJson(registry, 'google.rpc.Status', full)));
  return { code: failure.code, details: failure.message, metadata };
}
