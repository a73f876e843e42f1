import { HEADER } from '#domain/headers.ts';
import { bytesTag } from './protobuf-reader.ts';

/** The words by which the route table says which revision a request came by, and for which kind of target. */
export const CONTEXT_EXTENSION = { stamp: 'stamp', target: 'target' } as const;

/** Field numbers of the Envoy API, v3: `CheckRequest` and what it is made of; each is the tag of its field. */
export const CHECK_REQUEST = { attributes: bytesTag(1) } as const;
export const ATTRIBUTES = {
  source: bytesTag(1),
  request: bytesTag(4),
  contextExtensions: bytesTag(10),
  metadata: bytesTag(11),
} as const;
export const REQUEST = { http: bytesTag(2) } as const;
export const HTTP = { method: bytesTag(2), headers: bytesTag(3), path: bytesTag(4), headerMap: bytesTag(13) } as const;
export const HEADER_MAP = { headers: bytesTag(1) } as const;
export const HEADER_VALUE = { key: bytesTag(1), value: bytesTag(2), rawValue: bytesTag(3) } as const;

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
/** Names of headers and words, as the bytes that they are compared with. */
export const NAMES = {
  authorization: ascii(HEADER.authorization),
  tenantId: ascii(HEADER.tenantId),
  requestId: ascii(HEADER.requestId),
  correlationId: ascii(HEADER.correlationId),
  traceparent: ascii(HEADER.traceparent),
  contentType: ascii('content-type'),
  commandId: ascii(HEADER.commandId),
  idempotencyKey: ascii(HEADER.idempotencyKey),
  runnerShard: ascii(HEADER.runnerShard),
  originalMethod: ascii('x-envoy-original-method'),
  originalPath: ascii('x-envoy-original-path'),
  stamp: ascii(CONTEXT_EXTENSION.stamp),
  target: ascii(CONTEXT_EXTENSION.target),
} as const;
