import { expect, test } from 'vitest';
import { renderBootstrap } from '../../../src/launcher/envoy-bootstrap.ts';

const YAML = `
node: { id: envoy, cluster: gateway }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 9901 } }, ignore_global_conn_limit: true }
dynamic_resources: { ads_config: { api_type: DELTA_GRPC } }
static_resources:
  clusters:
    - name: xds
      type: STRICT_DNS
      connect_timeout: 1s
      load_assignment:
        cluster_name: xds
        endpoints:
          - locality: { zone: a }
            lb_endpoints:
              - endpoint:
                  address: { socket_address: { address: xds, port_value: 18000 } }
                  health_check_config: { hostname: xds }
    - { name: authz, type: STRICT_DNS, http2: true }
    - { name: otlp, type: STATIC }
`;
const VALUES = {
  nodeId: 'envoy-1',
  admin: { host: '127.0.0.1', port: 4001 },
  clusters: { xds: { host: '127.0.0.1', port: 4002 }, authz: { path: '/run/authz.sock' } },
};

test('node id, admin address and the addresses of the named clusters are filled in, the rest stays', () => {
  const bootstrap = JSON.parse(renderBootstrap(YAML, VALUES));
  expect(bootstrap).toEqual({
    node: { id: 'envoy-1', cluster: 'gateway' },
    admin: {
      address: { socket_address: { address: '127.0.0.1', port_value: 4001 } },
      ignore_global_conn_limit: true,
    },
    dynamic_resources: { ads_config: { api_type: 'DELTA_GRPC' } },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '1s',
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [
              {
                locality: { zone: 'a' },
                lb_endpoints: [
                  {
                    endpoint: {
                      address: { socket_address: { address: '127.0.0.1', port_value: 4002 } },
                      health_check_config: { hostname: 'xds' },
                    },
                  },
                ],
              },
            ],
          },
        },
        {
          name: 'authz',
          type: 'STATIC',
          http2: true,
          load_assignment: {
            cluster_name: 'authz',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: '/run/authz.sock' } } } }] }],
          },
        },
        { name: 'otlp', type: 'STATIC' },
      ],
    },
  });
});

test('a file without one of the clusters, or that is no bootstrap, is refused', () => {
  const missing = { ...VALUES, clusters: { authz_api: { host: '127.0.0.1', port: 1 } } };
  expect(() => renderBootstrap(YAML, missing)).toThrow('no static cluster "authz_api"');
  expect(() => renderBootstrap('[]', VALUES)).toThrow('the bootstrap is not a mapping');
  expect(() => renderBootstrap('static_resources: { clusters: 3 }', VALUES)).toThrow('clusters is not a list');
});
