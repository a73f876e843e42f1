import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { parse } from 'yaml';

/** An address in an Envoy resource. */
type EnvoyAddress =
  | { readonly host: string; readonly port: number }
  /** A Unix socket. */
  | { readonly path: string };

/** What the static bootstrap leaves open. */
export interface BootstrapValues {
  readonly nodeId: string;
  readonly admin: EnvoyAddress;
  /** Static clusters by name, with the one address each gets. */
  readonly clusters: Readonly<Record<string, EnvoyAddress>>;
  /** Folder of the SDS files of Envoy's certificate inside; absent: the static clusters are reached in clear. */
  readonly secretsFolder?: string | undefined;
}

/** Where envoy/bootstrap.yaml looks for the SDS files. */
const SECRETS_FOLDER = '/etc/envoy';

type JsonObject = Record<string, unknown>;

/**
 * Fills envoy/bootstrap.yaml in for one Envoy: node id, admin address, and the addresses of static clusters. All else
 * stays as it is written there, so that development and production differ in nothing but places.
 * @returns the bootstrap as JSON, which Envoy reads as well
 * @throws Error when the file has no such cluster: it and the launcher do not fit together
 */
export function renderBootstrap(yaml: string, values: BootstrapValues): string {
  const bootstrap = asObject(parse(yaml), 'the bootstrap');
  bootstrap['node'] = { ...asObject(bootstrap['node'] ?? {}, 'node'), id: values.nodeId };
  bootstrap['admin'] = { ...asObject(bootstrap['admin'] ?? {}, 'admin'), address: toEnvoy(values.admin) };
  const resources = asObject(bootstrap['static_resources'], 'static_resources');
  const clusters = asArray(resources['clusters'], 'static_resources.clusters').map((each) =>
    asObject(each, 'a cluster'),
  );
  for (const [name, address] of Object.entries(values.clusters)) {
    const cluster = clusters.find((each) => each['name'] === name);
    if (cluster === undefined) throw new Error(`envoy/bootstrap.yaml has no static cluster "${name}"`);
    setAddress(cluster, name, address);
  }
  for (const cluster of clusters) {
    if (values.secretsFolder === undefined) delete cluster['transport_socket'];
    else cluster['transport_socket'] = moved(cluster['transport_socket'], values.secretsFolder);
  }
  return `${JSON.stringify(bootstrap, null, 2)}\n`;
}

/** The same with other paths of SDS files. */
function moved(value: unknown, folder: string): unknown {
  if (typeof value === 'string') {
    return value.startsWith(`${SECRETS_FOLDER}/`) ? `${folder}${value.slice(SECRETS_FOLDER.length)}` : value;
  }
  if (Array.isArray(value)) return value.map((each) => moved(each, folder));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, moved(member, folder)]));
}

/** Files of Envoy's certificate inside. */
export interface SecretFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/**
 * Fills an SDS file (envoy/sds-identity.yaml, envoy/sds-trust.yaml) in with the paths of this machine; all are in one
 * folder, which Envoy watches.
 */
export function renderSecret(yaml: string, files: SecretFiles): string {
  const places = new Map([
    ['ca.pem', files.ca],
    ['envoy.pem', files.certificate],
    ['envoy.key', files.key],
  ]);
  const filled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(filled);
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => {
        if (name === 'filename') return [name, places.get(String(member).split('/').at(-1) ?? '') ?? member];
        if (name === 'watched_directory') return [name, { path: dirname(files.certificate) }];
        return [name, filled(member)];
      }),
    );
  };
  return `${JSON.stringify(filled(parse(yaml)), null, 2)}\n`;
}

/** Gives a cluster one endpoint. What the file says of its endpoint besides the address (health check) stays. */
function setAddress(cluster: JsonObject, name: string, address: EnvoyAddress): void {
  const assignment = asObject(cluster['load_assignment'] ?? {}, `load_assignment of ${name}`);
  const locality = asObject(first(assignment['endpoints']) ?? {}, `endpoints of ${name}`);
  const host = asObject(first(locality['lb_endpoints']) ?? {}, `lb_endpoints of ${name}`);
  const endpoint = { ...asObject(host['endpoint'] ?? {}, `endpoint of ${name}`), address: toEnvoy(address) };
  cluster['load_assignment'] = {
    ...assignment,
    cluster_name: name,
    endpoints: [{ ...locality, lb_endpoints: [{ ...host, endpoint }] }],
  };
  // The file may find its services by DNS; an IP address or a socket needs none, and Envoy refuses to resolve a socket.
  cluster['type'] = 'path' in address || isIP(address.host) !== 0 ? 'STATIC' : 'STRICT_DNS';
}

const toEnvoy = (address: EnvoyAddress): JsonObject =>
  'path' in address
    ? { pipe: { path: address.path } }
    : { socket_address: { address: address.host, port_value: address.port } };

const first = (value: unknown): unknown => (Array.isArray(value) ? value[0] : undefined);

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function asObject(value: unknown, what: string): JsonObject {
  if (isObject(value)) return value;
  throw new Error(`envoy/bootstrap.yaml: ${what} is not a mapping`);
}

function asArray(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`envoy/bootstrap.yaml: ${what} is not a list`);
}
