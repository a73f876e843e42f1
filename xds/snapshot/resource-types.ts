/** The resource types we serve, by what each is, with Envoy's type URL. */
export const TYPE_URL = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
} as const;

export type ResourceType = keyof typeof TYPE_URL;

/** The order in which an Envoy is told of types: what is referred to comes before what refers to it. */
export const TYPES_IN_ORDER: readonly ResourceType[] = ['cluster', 'endpoint', 'secret', 'listener', 'route'];

const TYPE_OF_URL = new Map(TYPES_IN_ORDER.map((type) => [TYPE_URL[type] as string, type]));

/** Undefined for a type we do not serve. */
export const resourceTypeOf = (typeUrl: string): ResourceType | undefined => TYPE_OF_URL.get(typeUrl);
