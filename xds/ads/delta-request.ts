import { BinaryReader } from '@bufbuild/protobuf/wire';

/** A DeltaDiscoveryRequest in the terms of the state machine. */
export interface DeltaRequest {
  readonly typeUrl: string;
  /** Only sure to be there in the first request of a stream. */
  readonly nodeId: string | undefined;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  readonly initialVersions: Readonly<Record<string, string>>;
  /** '' when the request answers no response. */
  readonly nonce: string;
  /** Present: the response with this nonce was rejected (NACK). */
  readonly error: string | undefined;
}

const ERROR_MAX_CHARS = 4_096;
/** Field numbers of envoy.service.discovery.v3.DeltaDiscoveryRequest and of the few messages inside that we read. */
const REQUEST = { node: 1, typeUrl: 2, subscribe: 3, unsubscribe: 4, initialVersions: 5, nonce: 6, error: 7 } as const;
const NODE = { id: 1 } as const;
const ENTRY = { key: 1, value: 2 } as const;
const STATUS = { message: 2 } as const;

/**
 * Reads a request field by field: an Envoy that comes back names all it holds, thousands of entries, and a general
 * decoder spends most of its time on them.
 * @throws Error when the bytes are no such message
 */
export function parseDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const reader = new BinaryReader(bytes);
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  // Without a prototype, because the names are the client's.
  const initialVersions: Record<string, string> = Object.create(null);
  let [typeUrl, nonce] = ['', ''];
  let nodeId: string | undefined;
  let error: string | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === REQUEST.typeUrl) typeUrl = reader.string();
    else if (field === REQUEST.nonce) nonce = reader.string();
    else if (field === REQUEST.subscribe) subscribe.push(reader.string());
    else if (field === REQUEST.unsubscribe) unsubscribe.push(reader.string());
    else if (field === REQUEST.initialVersions) readEntry(reader.bytes(), initialVersions);
    else if (field === REQUEST.node) nodeId = readText(reader.bytes(), NODE.id) ?? '';
    else if (field === REQUEST.error)
      error = (readText(reader.bytes(), STATUS.message) ?? '').slice(0, ERROR_MAX_CHARS);
    else reader.skip(wireType, field);
  }
  return { typeUrl, nodeId, subscribe, unsubscribe, initialVersions, nonce, error };
}

function readEntry(bytes: Uint8Array, versions: Record<string, string>): void {
  const reader = new BinaryReader(bytes);
  let [key, value] = ['', ''];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === ENTRY.key) key = reader.string();
    else if (field === ENTRY.value) value = reader.string();
    else reader.skip(wireType, field);
  }
  versions[key] = value;
}

/** The text of one field of a message; undefined when it is not there. */
function readText(bytes: Uint8Array, wanted: number): string | undefined {
  const reader = new BinaryReader(bytes);
  let text: string | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted) text = reader.string();
    else reader.skip(wireType, field);
  }
  return text;
}
