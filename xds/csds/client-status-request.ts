import type { FileRegistry } from '@bufbuild/protobuf';
import { decodeToJson } from '#platform/proto-registry.ts';

/** Who asks for what, in the terms of this server. */
export interface ClientStatusRequest {
  /** Undefined: of every Envoy. */
  readonly nodes: ReadonlySet<string> | undefined;
  readonly withContents: boolean;
}

const MATCHERS_MAX_COUNT = 100;

/**
 * Reads an envoy.service.status.v3.ClientStatusRequest. Several `node_matchers` mean any of them; each has to name one
 * node id exactly.
 * @throws Error saying what is not understood
 */
export function parseClientStatusRequest(registry: FileRegistry, bytes: Uint8Array): ClientStatusRequest {
  const request = decodeToJson(registry, 'envoy.service.status.v3.ClientStatusRequest', bytes);
  const members = objectOf(request);
  const matchers = Array.isArray(members['node_matchers']) ? members['node_matchers'] : [];
  if (matchers.length > MATCHERS_MAX_COUNT) throw new Error(`at most ${MATCHERS_MAX_COUNT} node_matchers are allowed`);
  return {
    nodes: matchers.length === 0 ? undefined : new Set(matchers.map(exactNodeId)),
    withContents: members['exclude_resource_contents'] !== true,
  };
}

function exactNodeId(matcher: unknown, index: number): string {
  const { node_id: nodeId, ...others } = objectOf(matcher);
  const { exact, ...rest } = objectOf(nodeId);
  if (typeof exact !== 'string' || Object.keys(rest).length > 0 || Object.keys(others).length > 0) {
    throw new Error(`node_matchers[${index}]: only {"node_id": {"exact": "..."}} is supported`);
  }
  return exact;
}

const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? { ...value } : {};
