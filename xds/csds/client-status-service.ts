import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { FileRegistry } from '@bufbuild/protobuf';
import {
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { LIMITS } from '#domain/limits.ts';
import { encodeJson } from '#platform/proto-registry.ts';
import type { GrpcService } from '../ads/server.ts';
import type { AdsSession } from '../ads/session.ts';
import { lengthDelimited } from '../snapshot/protobuf-frames.ts';
import { TYPES_IN_ORDER } from '../snapshot/resource-types.ts';
import { type ClientStatusRequest, parseClientStatusRequest } from './client-status-request.ts';
import { encodeGenericConfig } from './generic-config.ts';

const SERVICE = '/envoy.service.status.v3.ClientStatusDiscoveryService';
/** Field numbers of ClientConfig and ClientStatusResponse. */
const GENERIC_XDS_CONFIGS = 3;
const CONFIG = 1;

const passThrough = (bytes: Buffer): Buffer => bytes;
const asBytes = {
  requestSerialize: passThrough,
  requestDeserialize: passThrough,
  responseSerialize: passThrough,
  responseDeserialize: passThrough,
};
const DEFINITION: ServiceDefinition = {
  FetchClientStatus: { path: `${SERVICE}/FetchClientStatus`, requestStream: false, responseStream: false, ...asBytes },
  StreamClientStatus: { path: `${SERVICE}/StreamClientStatus`, requestStream: true, responseStream: true, ...asBytes },
};

/** What the caller did wrong, or what there is too much of. */
class ClientStatusError extends Error {
  readonly code: status;
  readonly details: string;

  constructor(code: status, details: string) {
    super(details);
    this.name = 'ClientStatusError';
    this.code = code;
    this.details = details;
  }
}

/**
 * The client status discovery service: what each Envoy of this replica was given, took and refused, for tools that know
 * the Envoy API and not ours. It keeps nothing and costs nothing while nobody asks. An answer is made a slice at a time
 * with a turn of the event loop between slices, so that it keeps no Envoy waiting; how many are made at once, and how
 * large one may be, is bounded (RESOURCE_EXHAUSTED).
 */
export function clientStatusService(options: {
  readonly registry: FileRegistry;
  readonly sessions: () => Iterable<AdsSession>;
}): GrpcService & { readonly streamsCount: () => number } {
  const streams = new Set<ServerDuplexStream<Buffer, Buffer>>();
  let underWay = 0;
  let isStopping = false;

  async function answer(bytes: Buffer): Promise<Buffer> {
    if (isStopping) throw new ClientStatusError(status.UNAVAILABLE, 'this replica is stopping');
    if (underWay >= LIMITS.clientStatusAnswersMaxCount) {
      throw new ClientStatusError(status.RESOURCE_EXHAUSTED, 'too many answers are being made; ask again');
    }
    const request = requestOf(options.registry, bytes);
    underWay += 1;
    try {
      return await encodeAnswer(options, request);
    } finally {
      underWay -= 1;
    }
  }

  return {
    definition: DEFINITION,
    implementation: {
      FetchClientStatus: (call: ServerUnaryCall<Buffer, Buffer>, respond: sendUnaryData<Buffer>) => {
        answer(call.request).then((bytes) => respond(null, bytes), respond);
      },
      StreamClientStatus: (stream: ServerDuplexStream<Buffer, Buffer>) => {
        if (streams.size >= LIMITS.clientStatusStreamsMaxCount) {
          stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details: 'too many streams are open' });
          return;
        }
        streams.add(stream);
        void serve(stream, answer).finally(() => streams.delete(stream));
      },
    },
    streamsCount: () => streams.size,
    stop: () => {
      isStopping = true;
      for (const stream of streams) stream.emit('error', { code: status.UNAVAILABLE, details: 'stopping' });
    },
  };
}

/**
 * One answer per request, in turn: the next request is read when the answer to the last one is written. It ends with the
 * stream, also while the client does not read.
 */
async function serve(stream: ServerDuplexStream<Buffer, Buffer>, answer: (bytes: Buffer) => Promise<Buffer>) {
  const ended = new AbortController();
  for (const event of ['cancelled', 'close'] as const) stream.once(event, () => ended.abort());
  try {
    // Reading to the end would otherwise destroy the stream before its status is sent.
    for await (const bytes of stream.iterator({ destroyOnReturn: false })) {
      if (!stream.write(await answer(bytes))) await once(stream, 'drain', { signal: ended.signal });
    }
    stream.end();
  } catch (error) {
    if (!stream.cancelled) stream.emit('error', error);
  }
}

function requestOf(registry: FileRegistry, bytes: Uint8Array): ClientStatusRequest {
  try {
    return parseClientStatusRequest(registry, bytes);
  } catch (error) {
    throw new ClientStatusError(status.INVALID_ARGUMENT, error instanceof Error ? error.message : String(error));
  }
}

/** A ClientStatusResponse: one ClientConfig per Envoy, of its newest stream. */
async function encodeAnswer(
  { registry, sessions }: Parameters<typeof clientStatusService>[0],
  { nodes, withContents }: ClientStatusRequest,
): Promise<Buffer> {
  const newest = new Map<string, AdsSession>();
  for (const session of sessions()) {
    if (session.node !== undefined && nodes?.has(session.node) !== false) newest.set(session.node, session);
  }
  const configs: Buffer[] = [];
  let bytes = 0;
  let inSlice = 0;
  for (const [node, session] of newest) {
    const parts: Uint8Array[] = [encodeJson(registry, 'envoy.service.status.v3.ClientConfig', { node: { id: node } })];
    for (const type of TYPES_IN_ORDER) {
      for (const name of [...session.knownNames(type)].sort()) {
        const entry = encodeGenericConfig(registry, type, session.statusOf(type, name), withContents);
        parts.push(lengthDelimited(GENERIC_XDS_CONFIGS, entry));
        bytes += entry.length;
        if (bytes > LIMITS.clientStatusMaxBytes) {
          const advice = 'name fewer nodes in node_matchers, or set exclude_resource_contents';
          throw new ClientStatusError(status.RESOURCE_EXHAUSTED, `the answer is too large: ${advice}`);
        }
        inSlice += 1;
        if (inSlice < LIMITS.clientStatusSliceMaxCount) continue;
        inSlice = 0;
        await nextTurn();
      }
    }
    configs.push(lengthDelimited(CONFIG, Buffer.concat(parts)));
  }
  return Buffer.concat(configs);
}
