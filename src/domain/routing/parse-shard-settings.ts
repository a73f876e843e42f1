import { LIMITS } from '../limits.ts';
import { parseAddress } from './address.ts';
import { described, type JsonObject, type Mistakes, objectAt, refuseUnknownMembers } from './mistakes.ts';
import { BREAKER_NUMBERS, HEALTH_NUMBERS, isUriName, type NumberSetting, OUTLIER_NUMBERS } from './shard-settings.ts';
import type { CircuitBreakers, HealthCheck, OutlierDetection, ShardProtocol, ShardTls } from './types.ts';

/** Where a value stands in the whole input, and where its mistakes go. */
export interface Place {
  readonly at: readonly (string | number)[];
  readonly mistakes: Mistakes;
}

/** A scheme, `://` and at least one more printable ASCII character (RFC 3986 section 3). */
const URI = /^[a-z][a-z0-9+.-]*:\/\/[!-~]+$/;
/** Printable ASCII from `/` on, without space or fragment: what may stand in a request line. */
const HEALTH_PATH = /^\/[!-"$-~]*$/;
/** The full name of a protobuf service, as grpc.health.v1 asks for it. */
const GRPC_SERVICE = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$/;

const inside = ({ at, mistakes }: Place, member: string): Place => ({ at: [...at, member], mistakes });
const memberNames = (settings: readonly NumberSetting<string>[]): readonly string[] =>
  settings.map(({ member }) => member);

/**
 * `{"path"}` or `{"grpc": true}` or `{"grpc": {"service"}}`, with numbers. `protocol` is what the shard speaks;
 * undefined when that is a mistake of its own.
 */
export function parseHealth(
  value: unknown,
  { protocol, ...place }: Place & { readonly protocol: ShardProtocol | undefined },
): HealthCheck | undefined {
  const object = objectAt(value, place.at, place.mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: ['path', 'grpc', ...memberNames(HEALTH_NUMBERS)], ...place });
  const given = parseNumbers(object, HEALTH_NUMBERS, place);
  if (object['grpc'] === undefined) {
    const path = parseHealthPath(object['path'], inside(place, 'path'));
    return path === undefined ? undefined : { path, ...given };
  }
  if (object['path'] !== undefined) {
    place.mistakes.add(place.at, 'invalid_value', 'must have either path or grpc, not both');
  }
  const service = parseGrpcService(object['grpc'], inside(place, 'grpc'));
  if (protocol === 'http1') {
    place.mistakes.add([...place.at, 'grpc'], 'invalid_value', 'needs a shard whose protocol is "h2"');
  }
  return service === undefined ? undefined : { grpc: { service }, ...given };
}

function parseHealthPath(path: unknown, { at, mistakes }: Place): string | undefined {
  if (typeof path === 'string' && path.length <= LIMITS.healthPathMaxChars && HEALTH_PATH.test(path)) return path;
  if (path === undefined) mistakes.add(at, 'missing', 'is required without grpc: the path to ask, such as "/ready"');
  else mistakes.add(at, 'invalid_value', `must be a path that begins with "/", not ${described(path)}`);
  return undefined;
}

/** The name of the service to ask for; empty for the whole server. */
function parseGrpcService(value: unknown, place: Place): string | undefined {
  if (value === true) return '';
  if (value === false) {
    place.mistakes.add(place.at, 'invalid_value', 'must be true or an object; without a check, leave health out');
    return undefined;
  }
  const object = objectAt(value, place.at, place.mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: ['service'], ...place });
  const { service = '' } = object;
  const valid =
    typeof service === 'string' &&
    service.length <= LIMITS.healthServiceMaxChars &&
    (service === '' || GRPC_SERVICE.test(service));
  if (valid) return service;
  place.mistakes.add(
    [...place.at, 'service'],
    typeof service === 'string' ? 'invalid_value' : 'wrong_type',
    `must be the full name of a gRPC service, not ${described(service)}`,
  );
  return undefined;
}

/** `true`, or `{"san"}`, `{"server_name"}` or both; undefined when it is a mistake. */
export function parseTls(value: unknown, place: Place): ShardTls | undefined {
  if (value === true) return {};
  if (value === false) {
    place.mistakes.add(
      place.at,
      'invalid_value',
      'must be true or an object; to leave it to the gateway, leave tls out',
    );
    return undefined;
  }
  const object = objectAt(value, place.at, place.mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: ['san', 'server_name'], ...place });
  const { san, server_name } = object;
  const name = san === undefined ? undefined : parseSan(san, inside(place, 'san'));
  const serverName = server_name === undefined ? undefined : parseDnsName(server_name, inside(place, 'server_name'));
  return { ...(name === undefined ? {} : { san: name }), ...(serverName === undefined ? {} : { serverName }) };
}

function parseSan(value: unknown, place: Place): string | undefined {
  if (typeof value !== 'string' || !isUriName(value)) return parseDnsName(value, place);
  if (value.length <= LIMITS.identityUriMaxBytes && URI.test(value)) return value;
  place.mistakes.add(
    place.at,
    'invalid_value',
    `must be a URI such as "spiffe://example.org/node", of at most ${LIMITS.identityUriMaxBytes} ASCII characters`,
  );
  return undefined;
}

/** A DNS name in lower case. IP addresses are no names of services: what changes with every task identifies nothing. */
function parseDnsName(value: unknown, { at, mistakes }: Place): string | undefined {
  const address = typeof value === 'string' ? parseAddress(value) : undefined;
  if (address?.form === 'dns') return address.text;
  const code = typeof value === 'string' ? 'invalid_value' : 'wrong_type';
  const also = at.at(-1) === 'san' ? ', or a URI' : '';
  mistakes.add(at, code, `must be a DNS name${also}, not ${described(value)}`);
  return undefined;
}

/** An object of numbers, or `false` for none at all; undefined when it says nothing. */
export function parseOutlierDetection(value: unknown, place: Place): OutlierDetection | false | undefined {
  return value === false ? false : parseNumbersOnly(value, OUTLIER_NUMBERS, place);
}

/** An object of numbers; undefined when it says nothing. */
export function parseCircuitBreakers(value: unknown, place: Place): CircuitBreakers | undefined {
  return parseNumbersOnly(value, BREAKER_NUMBERS, place);
}

function parseNumbersOnly<Name extends string>(
  value: unknown,
  settings: readonly NumberSetting<Name>[],
  place: Place,
): Partial<Record<Name, number>> | undefined {
  if (value === undefined) return undefined;
  const object = objectAt(value, place.at, place.mistakes);
  if (object === undefined) return undefined;
  refuseUnknownMembers(object, { known: memberNames(settings), ...place });
  const given = parseNumbers(object, settings, place);
  return Object.keys(given).length === 0 ? undefined : given;
}

/** Those of the settings that the object has, each in its range. */
export function parseNumbers<Name extends string>(
  object: JsonObject,
  settings: readonly NumberSetting<Name>[],
  place: Place,
): Partial<Record<Name, number>> {
  const given = settings.flatMap(({ name, member, min, max }) => {
    const value =
      object[member] === undefined ? undefined : parseWhole(object[member], { min, max }, inside(place, member));
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(given) as Partial<Record<Name, number>>;
}

/** A whole number from `min` to `max`; anything else is a mistake and undefined. */
export function parseWhole(
  value: unknown,
  { min, max }: { readonly min: number; readonly max: number },
  { at, mistakes }: Place,
): number | undefined {
  const range = `a whole number from ${min} to ${max}`;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  if (value === undefined) mistakes.add(at, 'missing', `is required: ${range}`);
  else if (typeof value !== 'number') mistakes.add(at, 'wrong_type', `must be a whole number, not ${described(value)}`);
  else mistakes.add(at, 'out_of_range', `must be ${range}, not ${value}`);
  return undefined;
}
