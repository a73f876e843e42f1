import { extension, type JsonObject } from '../json.ts';

/** Makes plain gRPC of gRPC-Web, and back. */
export const grpcWeb = (): JsonObject =>
  extension('envoy.filters.http.grpc_web', 'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb');
