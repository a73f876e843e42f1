import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { extension, type JsonObject } from '../json.ts';
import { headerIs, not, regex, unless } from './delegate.ts';

/** What a message may be longer than the body limit: the framing around it. */
const FRAMING_BYTES = 65_536;

/**
 * Lets a stream hold one whole message. Field extraction needs that, and may hold no more than the connection's buffer
 * (32 KiB), which on HTTP/2 a larger window raises: on HTTP/1.1, where gRPC-Web comes from, only this filter does. The
 * limit proper is kept by the filter for bodies before this one.
 */
export const messageBuffer = (): JsonObject =>
  unless(
    not(
      headerIs('Request', { header: ':path', value: regex(`${COMMAND_GRPC_PATH.replaceAll('.', '\\.')}(?:\\?.*)?`) }),
    ),
    'gateway.message_buffer',
    extension('envoy.filters.http.buffer', 'envoy.extensions.filters.http.buffer.v3.Buffer', {
      max_request_bytes: LIMITS.requestBodyMaxBytes + FRAMING_BYTES,
    }),
  );
