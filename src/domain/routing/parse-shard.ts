import type { ServiceKind } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { parseAddress } from './address.ts';
import { described, type Mistakes, objectAt, refuseUnknownMembers } from './mistakes.ts';
import {
  type Place,
  parseCircuitBreakers,
  parseHealth,
  parseNumbers,
  parseOutlierDetection,
  parseTls,
  parseWhole,
} from './parse-shard-settings.ts';
import { SHARD_NUMBERS } from './shard-settings.ts';
import type { Endpoint, Shard, ShardProtocol } from './types.ts';

type Path = readonly (string | number)[];

/** Every member of a shard; docs/routing.md has what each is for. */
const SHARD_MEMBERS: readonly string[] = [
  'endpoints',
  'protocol',
  'health',
  'outlier_detection',
  'circuit_breakers',
  'tls',
  ...SHARD_NUMBERS.map(({ member }) => member),
];
const PORTS = { min: 1, max: 65_535 };
const WEIGHTS = { min: 1, max: LIMITS.endpointWeightMax };

/**
 * One shard of a routing document. Every mistake is reported; undefined when it cannot be used.
 * Without a `kind` the rules of the kind are not looked at: a stored shard was accepted under those of its time.
 */
export function parseShard(
  value: unknown,
  { kind, ...place }: Place & { readonly kind: ServiceKind | undefined },
): Shard | undefined {
  const { at, mistakes } = place;
  const object = objectAt(value, at, mistakes);
  if (object === undefined) return undefined;
  const before = mistakes.count;
  const member = (name: string): Place => ({ at: [...at, name], mistakes });
  refuseUnknownMembers(object, { known: SHARD_MEMBERS, at, mistakes });
  const endpoints = parseEndpoints(object['endpoints'], [...at, 'endpoints'], mistakes);
  const protocol = parseProtocol(object['protocol'], kind, member('protocol'));
  const health =
    object['health'] === undefined ? undefined : parseHealth(object['health'], { protocol, ...member('health') });
  const outlierDetection = parseOutlierDetection(object['outlier_detection'], member('outlier_detection'));
  const circuitBreakers = parseCircuitBreakers(object['circuit_breakers'], member('circuit_breakers'));
  const tls = object['tls'] === undefined ? undefined : parseTls(object['tls'], member('tls'));
  const given = parseNumbers(object, SHARD_NUMBERS, place);
  if (mistakes.count > before || protocol === undefined) return undefined;
  return {
    endpoints,
    protocol,
    ...(health === undefined ? {} : { health }),
    ...(outlierDetection === undefined ? {} : { outlierDetection }),
    ...(circuitBreakers === undefined ? {} : { circuitBreakers }),
    ...(tls === undefined ? {} : { tls }),
    ...given,
  };
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
  const port = parseWhole(object['port'], PORTS, { at: [...at, 'port'], mistakes });
  const { weight: given = 1 } = object;
  const weight = parseWhole(given, WEIGHTS, { at: [...at, 'weight'], mistakes });
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

/** Commands are gRPC, which needs HTTP/2; the others speak what most servers do unless they say otherwise. */
function parseProtocol(
  value: unknown,
  kind: ServiceKind | undefined,
  { at, mistakes }: Place,
): ShardProtocol | undefined {
  if (value === undefined) return kind === 'aggregate' ? 'h2' : 'http1';
  if (value === 'http1' && kind === 'aggregate') {
    mistakes.add(at, 'invalid_value', 'must be "h2": commands are gRPC, which needs HTTP/2');
    return undefined;
  }
  if (value === 'http1' || value === 'h2') return value;
  mistakes.add(at, 'invalid_value', `must be "http1" or "h2", not ${described(value)}`);
  return undefined;
}
