import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { renderBootstrap, renderSecret } from '../../../src/launcher/envoy-bootstrap.ts';

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

const TLS_YAML = `
static_resources:
  clusters:
    - name: xds
      transport_socket:
        typed_config: { sds: [{ path_config_source: { path: /etc/envoy/sds-trust.yaml } }], other: /etc/envoyage }
    - { name: plain }
`;

test('TLS of the static clusters reads the SDS files of this machine, or is taken out', () => {
  const rendered = (secretsFolder?: string) =>
    JSON.parse(renderBootstrap(TLS_YAML, { nodeId: 'e', admin: VALUES.admin, clusters: {}, secretsFolder }))
      .static_resources.clusters;
  expect(rendered('/data/envoy')).toEqual([
    {
      name: 'xds',
      transport_socket: {
        typed_config: { sds: [{ path_config_source: { path: '/data/envoy/sds-trust.yaml' } }], other: '/etc/envoyage' },
      },
    },
    { name: 'plain' },
  ]);
  expect(rendered()).toEqual([{ name: 'xds' }, { name: 'plain' }]);
});

test('the SDS files that are shipped get the paths of this machine', async () => {
  const files = { ca: '/pki/ca.pem', certificate: '/pki/envoy-1.pem', key: '/pki/envoy-1.key' };
  const rendered = async (name: string) =>
    JSON.parse(renderSecret(await readFile(new URL(`../../../envoy/${name}`, import.meta.url), 'utf8'), files))
      .resources[0];
  expect(await rendered('sds-identity.yaml')).toMatchObject({
    tls_certificate: {
      certificate_chain: { filename: files.certificate },
      private_key: { filename: files.key },
      watched_directory: { path: '/pki' },
    },
  });
  expect(await rendered('sds-trust.yaml')).toMatchObject({
    validation_context: { trusted_ca: { filename: files.ca }, watched_directory: { path: '/pki' } },
  });
});

test('an address by name is looked up, one by number is not', () => {
  const typeOf = (host: string): unknown => {
    const rendered = renderBootstrap(YAML, { ...VALUES, clusters: { otlp: { host, port: 4317 } } });
    return JSON.parse(rendered).static_resources.clusters[2].type;
  };
  expect(typeOf('collector')).toBe('STRICT_DNS');
  expect(typeOf('127.0.0.1')).toBe('STATIC');
  expect(typeOf('::1')).toBe('STATIC');
});
