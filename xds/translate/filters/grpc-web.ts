import { HEADER } from '#domain/headers.ts';
import { extension, type JsonObject, setHeader } from '../json.ts';

/** Makes plain gRPC of gRPC-Web, and back. */
export const grpcWeb = (): JsonObject =>
  extension('envoy.filters.http.grpc_web', 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb');

/**
 * Puts the gRPC status of a refusal back. The gRPC-Web filter makes the text of a reply its grpc-message, and replaces the
 * status by one of a table over HTTP statuses, whatever was there.
 */
export const grpcWebStatus = (): JsonObject =>
  extension('gateway.grpc_web_status', 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation', {
    mutations: {
      response_mutations: [
        { append: setHeader('grpc-status', `%RESP(${HEADER.gatewayGrpcStatus.toUpperCase()})%`) },
        { remove: HEADER.gatewayGrpcStatus },
      ],
    },
  });
