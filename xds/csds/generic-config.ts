import type { FileRegistry, JsonObject } from '@bufbuild/protobuf';
import { encodeJson } from '#platform/proto-registry.ts';
import type { NameStatus } from '../ads/subscription-terms.ts';
import { lengthDelimited } from '../snapshot/protobuf-frames.ts';
import { packedOf } from '../snapshot/resource.ts';
import { type ResourceType, TYPE_URL } from '../snapshot/resource-types.ts';

const TYPE_NAME = 'envoy.service.status.v3.ClientConfig.GenericXdsConfig';
/** Field numbers of that message. */
const XDS_CONFIG = 4;

/**
 * The bytes of the GenericXdsConfig of one name: what this server has for the Envoy (version, content), how far that
 * got, and what the Envoy said against it. The content of secrets is never told.
 */
export function encodeGenericConfig(
  registry: FileRegistry,
  type: ResourceType,
  status: NameStatus,
  withContents: boolean,
): Uint8Array {
  const { name, newest, held, rejection } = status;
  const isHeld = held !== undefined && held.version === newest?.version;
  const head = encodeJson(registry, TYPE_NAME, {
    type_url: TYPE_URL[type],
    name,
    version_info: (newest ?? held)?.version ?? '',
    ...stateOf(status),
    ...(isHeld && held.atMs !== undefined ? { last_updated: timeOf(held.atMs) } : {}),
    ...(rejection === undefined
      ? {}
      : { error_state: { details: rejection.error, last_update_attempt: timeOf(rejection.atMs) } }),
  });
  if (newest === undefined || !withContents || type === 'secret') return head;
  // Fields of a message may follow each other in any order: the content is there as bytes and stays that.
  return Buffer.concat([head, lengthDelimited(XDS_CONFIG, packedOf(newest))]);
}

/** ConfigStatus in the words of a server, ClientResourceStatus in those of a client (envoy/service/status/v3/csds.proto). */
function stateOf({ newest, held, isSent, rejection }: NameStatus): JsonObject {
  if (rejection !== undefined) return { config_status: 'ERROR', client_status: 'NACKED' };
  if (newest === undefined) {
    if (held === undefined) return { config_status: isSent ? 'SYNCED' : 'NOT_SENT', client_status: 'DOES_NOT_EXIST' };
    // It is to go: it was told and has not said so yet, or is not told yet because it may still route there.
    return { config_status: isSent ? 'STALE' : 'NOT_SENT', client_status: 'ACKED' };
  }
  if (held?.version === newest.version) return { config_status: 'SYNCED', client_status: 'ACKED' };
  return { config_status: isSent ? 'STALE' : 'NOT_SENT', client_status: held === undefined ? 'REQUESTED' : 'ACKED' };
}

const timeOf = (atMs: number): string => new Date(atMs).toISOString();
