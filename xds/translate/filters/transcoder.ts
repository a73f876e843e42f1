import type { EndpointRow } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { extension, type JsonObject } from '../json.ts';
import { asciiPathRegex } from '../routes/path-regex.ts';
import { headerIs, not, regex, unless } from './delegate.ts';

/** A protobuf service that Envoy makes gRPC calls of JSON requests for. */
export interface TranscodedServices {
  /** Serialized FileDescriptorSet in base64, with google.rpc error details, or errors with details arrive empty. */
  readonly descriptors: string;
  readonly services: readonly string[];
}

/**
 * Makes the gRPC call of a JSON request, so that ext_authz behind it judges the final message. It sees only requests
 * that are JSON forms of gRPC methods, method and path: with everything else it would answer unknown ones itself,
 * before anybody decided. Escapes of non-ASCII bytes are passed by too, because ids hold none and invalid UTF-8 makes
 * the call to ext_authz fail.
 */
export function transcoder(rows: readonly EndpointRow[], { descriptors, services }: TranscodedServices): JsonObject {
  const methods = new Set(rows.map((row) => row.method));
  const isJsonForm = {
    and_matcher: {
      predicate: [
        headerIs('Request', { header: ':method', value: regex([...methods].join('|')) }),
        headerIs('Request', {
          header: ':path',
          value: regex(`${asciiPathRegex(rows.map((row) => row.path))}(?:\\?.*)?`),
        }),
      ],
    },
  };
  return unless(
    not(isJsonForm),
    'gateway.transcoder',
    extension(
      'envoy.filters.http.grpc_json_transcoder',
      'envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder',
      {
        proto_descriptor_bin: descriptors,
        services: [...services],
        // The upstream's own answer reaches JSON clients as google.rpc.Status, details included.
        convert_grpc_status: true,
        print_options: { preserve_proto_field_names: true, always_print_primitive_fields: true },
        max_request_body_size: LIMITS.requestBodyMaxBytes,
        max_response_body_size: LIMITS.transcodedResponseMaxBytes,
        request_validation_options: {
          reject_unknown_method: true,
          reject_unknown_query_parameters: true,
          reject_binding_body_field_collisions: true,
        },
      },
    ),
  );
}
