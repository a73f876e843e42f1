import { extension, type JsonObject } from '../json.ts';
import { FILTERS } from '../names.ts';

/**
 * The fields of the final message that decisions need: ext_authz gets them as metadata, never the body. Of the command's
 * type it only makes sure that it is UTF-8.
 */
const FIELDS = ['aggregate_type', 'aggregate_id', 'command_id', 'command_type'] as const;

/**
 * Reads fields of gRPC requests into dynamic metadata, each a list of texts. It lets pass what it cannot read: whoever
 * decides must demand exactly one non-empty value. @param methods full names, `package.Service.Method`
 * @param descriptors serialized FileDescriptorSet in base64
 */
export const fieldExtraction = (methods: readonly string[], descriptors: string): JsonObject =>
  extension(
    FILTERS.fieldExtraction,
    'envoy.extensions.filters.http.grpc_field_extraction.v3.GrpcFieldExtractionConfig',
    {
      descriptor_set: { inline_bytes: descriptors },
      extractions_by_method: Object.fromEntries(
        methods.map((method) => [
          method,
          { request_field_extractions: Object.fromEntries(FIELDS.map((field) => [field, {}])) },
        ]),
      ),
    },
  );
