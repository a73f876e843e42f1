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
}

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
  return `${JSON.stringify(bootstrap, null, 2)}\n`;
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
  cluster['type'] = 'STATIC';
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
