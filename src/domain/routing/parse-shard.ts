import { LIMITS } from '../limits.ts';
import { parseAddress } from './address.ts';
import { described, type JsonObject, type Mistakes, objectAt, refuseUnknownMembers } from './mistakes.ts';
import type { Endpoint, Shard, ShardProtocol } from './types.ts';

type Path = readonly (string | number)[];

const HEALTH_PATH_MAX_CHARS = 1_024;
/** Printable ASCII from `/` on, without space or fragment: what may stand in a request line. */
const HEALTH_PATH = /^\/[!-"$-~]*$/;

/**
 * One shard of a routing document. Every mistake is reported; undefined when it cannot be used.
 * `protocolDefault` stands where the shard names no protocol.
 */
export function parseShard(
  value: unknown,
  { at, mistakes, protocolDefault }: { at: Path; mistakes: Mistakes; protocolDefault: ShardProtocol },
): Shard | undefined {
  const object = objectAt(value, at, mistakes);
  if (object === undefined) return undefined;
  const before = mistakes.count;
  refuseUnknownMembers(object, { known: ['endpoints', 'protocol', 'health'], at, mistakes });
  const endpoints = parseEndpoints(object['endpoints'], [...at, 'endpoints'], mistakes);
  const protocol = parseProtocol(object['protocol'] ?? protocolDefault, [...at, 'protocol'], mistakes);
  const health =
    object['health'] === undefined ? undefined : parseHealth(object['health'], [...at, 'health'], mistakes);
  if (mistakes.count > before || protocol === undefined) return undefined;
  return { endpoints, protocol, ...(health === undefined ? {} : { health }) };
}

function parseEndpoints(value: unknown, at: Path, mistakes: Mistakes): readonly Endpoint[] {
  if (!Array.isArray(value)) {
    if (value === undefined) mistakes.add(at, 'missing', 'is required: a list of endpoints, which may be empty');
    else mistakes.add(at, 'wrong_type', `must be a list of endpoints, not ${described(value)}`);
    return [];
  }
  if (value.length > LIMITS.endpointsPerShardMaxCount) {
    mistakes.add(at, 'too_many', `has ${value.length} endpoints, at most ${LIMITS.endpointsPerShardMaxCount} may be`);
    return [];
  }
  const endpoints: Endpoint[] = [];
  const firstIndexes = new Map<string, number>();
  for (const [index, item] of value.entries()) {
    const endpoint = parseEndpoint(item, [...at, index], mistakes);
    if (endpoint === undefined) continue;
    const socket = `${endpoint.address} ${endpoint.port}`;
    const first = firstIndexes.get(socket);
    if (first === undefined) firstIndexes.set(socket, index);
    else mistakes.add([...at, index], 'duplicate_endpoint', `is the same address and port as endpoint ${first}`);
    endpoints.push(endpoint);
  }
  return endpoints;
}

function parseEndpoint(value: unknown, at: Path, mistakes: Mistakes): Endpoint | undefined {
  const object = objectAt(value, at, mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: ['address', 'port', 'weight'], at, mistakes });
  const address = parseEndpointAddress(object['address'], [...at, 'address'], mistakes);
  const port = parseWhole(object, { name: 'port', max: 65_535, at, mistakes });
  const weight =
    object['weight'] === undefined
      ? 1
      : parseWhole(object, { name: 'weight', max: LIMITS.endpointWeightMax, at, mistakes });
  return address === undefined || port === undefined || weight === undefined ? undefined : { address, port, weight };
}

function parseEndpointAddress(value: unknown, at: Path, mistakes: Mistakes): string | undefined {
  if (typeof value !== 'string') {
    if (value === undefined) mistakes.add(at, 'missing', 'is required: an IP address or a DNS name');
    else mistakes.add(at, 'wrong_type', `must be a text, not ${described(value)}`);
    return undefined;
  }
  const address = parseAddress(value);
  if (address === undefined) {
    mistakes.add(at, 'invalid_address', `must be an IP address or a DNS name, not ${described(value)}`);
  }
  return address?.text;
}

/** A whole number from 1 to `max`. */
function parseWhole(
  object: JsonObject,
  { name, max, at, mistakes }: { name: string; max: number; at: Path; mistakes: Mistakes },
): number | undefined {
  const value = object[name];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max) return value;
  if (value === undefined) mistakes.add([...at, name], 'missing', `is required: a whole number from 1 to ${max}`);
  else if (typeof value !== 'number') {
    mistakes.add([...at, name], 'wrong_type', `must be a whole number, not ${described(value)}`);
  } else mistakes.add([...at, name], 'out_of_range', `must be a whole number from 1 to ${max}, not ${value}`);
  return undefined;
}

function parseProtocol(value: unknown, at: Path, mistakes: Mistakes): ShardProtocol | undefined {
  if (value === 'http1' || value === 'h2') return value;
  mistakes.add(at, 'invalid_value', `must be "http1" or "h2", not ${described(value)}`);
  return undefined;
}

function parseHealth(value: unknown, at: Path, mistakes: Mistakes): { readonly path: string } | undefined {
  const object = objectAt(value, at, mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: ['path'], at, mistakes });
  const path = object['path'];
  if (typeof path === 'string' && path.length <= HEALTH_PATH_MAX_CHARS && HEALTH_PATH.test(path)) return { path };
  if (path === undefined) mistakes.add([...at, 'path'], 'missing', 'is required: the path to ask, such as "/ready"');
  else mistakes.add([...at, 'path'], 'invalid_value', `must be a path that begins with "/", not ${described(path)}`);
  return undefined;
}
