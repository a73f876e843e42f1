import type { JsonObject } from '@bufbuild/protobuf';

const typed = (type: string, members: JsonObject = {}): JsonObject => ({
  '@type': `type.googleapis.com/${type}`,
  ...members,
});

const HTTP_FILTERS = 'envoy.extensions.filters.http';
const HTTP_PROTOCOL_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ads: JsonObject = { ads: {}, resource_api_version: 'V3' };

/** One JSON of every kind of resource and of every extension that the gateway sends to Envoy, by type name. */
export const SAMPLE_RESOURCES: readonly (readonly [string, JsonObject])[] = [
  [
    'envoy.config.cluster.v3.Cluster',
    {
      name: 'aggregate/s1',
      type: 'EDS',
      eds_cluster_config: { eds_config: ads },
      connect_timeout: '1s',
      health_checks: [
        { timeout: '1s', interval: '5s', unhealthy_threshold: 2, healthy_threshold: 1, grpc_health_check: {} },
      ],
      typed_extension_protocol_options: {
        [HTTP_PROTOCOL_OPTIONS]: typed(HTTP_PROTOCOL_OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
      },
      transport_socket: {
        name: 'tls',
        typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
          sni: 'aggregate.internal',
        }),
      },
    },
  ],
  [
    'envoy.config.endpoint.v3.ClusterLoadAssignment',
    {
      cluster_name: 'aggregate/s1',
      endpoints: [
        {
          lb_endpoints: [
            {
              endpoint: { address: { socket_address: { address: '10.0.0.5', port_value: 9001 } } },
              load_balancing_weight: 1,
            },
          ],
        },
      ],
    },
  ],
  [
    'envoy.config.route.v3.RouteConfiguration',
    {
      name: 'gateway',
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: {
                path_match_policy: {
                  name: 'template',
                  typed_config: typed('envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig', {
                    path_template: '/v1/commands/{type}/{id}',
                  }),
                },
                headers: [{ name: 'x-gateway-cluster', string_match: { prefix: 'aggregate/' } }],
              },
              route: {
                cluster_header: 'x-gateway-cluster',
                timeout: '10s',
                retry_policy: {
                  retry_on: 'connect-failure',
                  retry_host_predicate: [
                    {
                      name: 'previous',
                      typed_config: typed('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
                    },
                  ],
                },
              },
              typed_per_filter_config: {
                'envoy.filters.http.ext_authz': typed(`${HTTP_FILTERS}.ext_authz.v3.ExtAuthzPerRoute`, {
                  check_settings: { context_extensions: { stamp: '17', target: 'aggregate' } },
                }),
                'envoy.filters.http.cors': typed(`${HTTP_FILTERS}.cors.v3.CorsPolicy`, { allow_methods: 'GET' }),
              },
              metadata: { filter_metadata: { gateway: { stamp: 17 } } },
            },
          ],
        },
      ],
    },
  ],
  [
    'envoy.config.listener.v3.Listener',
    {
      name: 'edge',
      address: { socket_address: { address: '0.0.0.0', port_value: 8080 } },
      listener_filters: [
        {
          name: 'tls_inspector',
          typed_config: typed('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'),
        },
      ],
      filter_chains: [
        {
          filters: [{ name: 'hcm', typed_config: connectionManager() }],
          transport_socket: {
            name: 'tls',
            typed_config: typed('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
              common_tls_context: { tls_certificate_sds_secret_configs: [{ name: 'edge', sds_config: ads }] },
            }),
          },
        },
      ],
    },
  ],
  [
    'envoy.extensions.transport_sockets.tls.v3.Secret',
    {
      name: 'edge',
      tls_certificate: { private_key: { inline_string: 'k' }, certificate_chain: { inline_string: 'c' } },
    },
  ],
  ['envoy.service.runtime.v3.Runtime', { name: 'runtime', layer: { 'health_check.min_interval': 5 } }],
  [
    'envoy.config.bootstrap.v3.Bootstrap',
    {
      node: { id: 'edge-1', cluster: 'edge' },
      dynamic_resources: {
        ads_config: { api_type: 'DELTA_GRPC', grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] },
        cds_config: ads,
        lds_config: ads,
      },
      overload_manager: {
        resource_monitors: [
          {
            name: 'connections',
            typed_config: typed(
              'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
              { max_active_downstream_connections: '10000' },
            ),
          },
          {
            name: 'heap',
            typed_config: typed('envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig', {
              max_heap_size_bytes: '1073741824',
            }),
          },
        ],
      },
    },
  ],
  ['envoy.service.auth.v3.CheckRequest', { attributes: { request: { http: { path: '/v1/query/orders' } } } }],
  ['envoy.service.auth.v3.CheckResponse', { status: { code: 7 }, denied_response: { status: { code: 'Forbidden' } } }],
  ['envoy.service.status.v3.ClientStatusResponse', { config: [{ node: { id: 'edge-1' } }] }],
  [
    'envoy.admin.v3.ConfigDump',
    { configs: [typed('envoy.admin.v3.RoutesConfigDump', { dynamic_route_configs: [{ version_info: '17-abc' }] })] },
  ],
];

function connectionManager(): JsonObject {
  return typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'edge',
    rds: { config_source: ads, route_config_name: 'gateway' },
    request_id_extension: { typed_config: typed('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig') },
    early_header_mutation_extensions: [
      {
        name: 'strip',
        typed_config: typed('envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation', {
          mutations: [{ remove_on_match: { key_matcher: { prefix: 'x-gateway-' } } }],
        }),
      },
    ],
    tracing: {
      provider: {
        name: 'otel',
        typed_config: typed('envoy.config.trace.v3.OpenTelemetryConfig', {
          service_name: 'edge',
          grpc_service: { envoy_grpc: { cluster_name: 'otlp' } },
        }),
      },
    },
    access_log: [
      {
        name: 'file',
        filter: {
          extension_filter: {
            name: 'cel',
            typed_config: typed('envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter', {
              expression: 'response.code >= 400',
            }),
          },
        },
        typed_config: typed('envoy.extensions.access_loggers.file.v3.FileAccessLog', {
          path: '/dev/null',
          log_format: {
            json_format: { code: '%RESPONSE_CODE%' },
            formatters: [{ name: 'cel', typed_config: typed('envoy.extensions.formatter.cel.v3.Cel') }],
          },
        }),
      },
      { name: 'stdout', typed_config: typed('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog') },
    ],
    http_filters: [
      filter('header_mutation', 'header_mutation.v3.HeaderMutation', { mutations: {} }),
      filter('health_check', 'health_check.v3.HealthCheck', { pass_through_mode: true }),
      filter('cors', 'cors.v3.Cors'),
      filter('csrf', 'csrf.v3.CsrfPolicy', { filter_enabled: { default_value: { numerator: 100 } } }),
      filter('local_ratelimit', 'local_ratelimit.v3.LocalRateLimit', { stat_prefix: 'edge' }),
      filter('grpc_web', 'grpc_web.v3.GrpcWeb'),
      filter('body_size_limit', 'body_size_limit.v3.BodySizeLimit'),
      filter('buffer', 'buffer.v3.Buffer', { max_request_bytes: 1_048_576 }),
      { name: 'transcoder', typed_config: delegated() },
      filter('field_extraction', 'grpc_field_extraction.v3.GrpcFieldExtractionConfig', {
        descriptor_set: { inline_bytes: '' },
        extractions_by_method: {
          'aggregate.gateway.v1.CommandService.SubmitCommand': { request_field_extractions: { aggregate_type: {} } },
        },
      }),
      filter('transform', 'transform.v3.TransformConfig'),
      filter('ext_authz', 'ext_authz.v3.ExtAuthz', {
        grpc_service: { envoy_grpc: { cluster_name: 'authz' }, timeout: '2s' },
        transport_api_version: 'V3',
        clear_route_cache: true,
      }),
      filter('router', 'router.v3.Router'),
    ],
  });
}

/** The transcoder, left out of the way of every path that is not a command. */
function delegated(): JsonObject {
  return typed('envoy.extensions.common.matching.v3.ExtensionWithMatcher', {
    extension_config: filter('transcoder', 'grpc_json_transcoder.v3.GrpcJsonTranscoder', {
      proto_descriptor_bin: '',
      services: ['aggregate.gateway.v1.CommandService'],
    }),
    xds_matcher: {
      matcher_tree: {
        input: {
          name: 'path',
          typed_config: typed('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { header_name: ':path' }),
        },
        prefix_match_map: { map: { '/v1/commands/': { matcher: { on_no_match: skip() } } } },
      },
      on_no_match: skip(),
    },
  });
}

function skip(): JsonObject {
  return {
    action: { name: 'skip', typed_config: typed('envoy.extensions.filters.common.matcher.action.v3.SkipFilter') },
  };
}

function filter(name: string, type: string, members: JsonObject = {}): JsonObject {
  return { name, typed_config: typed(`${HTTP_FILTERS}.${type}`, members) };
}
