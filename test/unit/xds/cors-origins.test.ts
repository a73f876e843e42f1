import { describe, expect, it } from 'vitest';
import { ENDPOINTS } from '#domain/endpoints.ts';
import { ConfigurationError } from '#platform/env.ts';
import { parseXdsConfig } from '../../../xds/config.ts';
import { edgeListeners, edgeRoutes } from '../../../xds/resources.ts';

const REQUIRED = {
  GATEWAY_NATS_URL: 'nats://127.0.0.1:4222',
  GATEWAY_XDS_GRPC_LISTEN: '127.0.0.1:1',
  GATEWAY_XDS_HTTP_LISTEN: '127.0.0.1:2',
  GATEWAY_TLS_CERT_FILE: '/cert.pem',
  GATEWAY_TLS_KEY_FILE: '/key.pem',
};
const origins = (text: string) => parseXdsConfig({ ...REQUIRED, GATEWAY_CORS_ORIGINS: text }).edge.corsOrigins;

describe('GATEWAY_CORS_ORIGINS', () => {
  it('takes origins as browsers write them', () => {
    expect(origins('')).toEqual([]);
    expect(origins('https://a.example, http://localhost:5173,https://a.example,')).toEqual([
      'https://a.example',
      'http://localhost:5173',
    ]);
    expect(origins('https://[::1]:8443,https://xn--bcher-kva.example')).toHaveLength(2);
  });

  it.each([
    '*',
    'null',
    'a.example',
    'https://*.example',
    'https://a.example/',
    'https://a.example/path',
    'https://a.example:443',
    'https://A.example',
    'https://user@a.example',
    'https://bücher.example',
    'ftp://a.example',
    'https://a.example?x',
    'https://a.example https://b.example',
  ])('refuses what no browser would ever send: %s', (text) => {
    expect(() => origins(text)).toThrow(ConfigurationError);
  });

  it('refuses more than are sent with every move', () => {
    const many = Array.from({ length: 33 }, (_, index) => `https://a${index}.example`);
    expect(origins(many.slice(1).join(','))).toHaveLength(32);
    expect(() => origins(many.join(','))).toThrow(ConfigurationError);
  });
});

describe('CORS in the resources', () => {
  const edge = { address: '0.0.0.0', port: 1, tlsPort: 2, accessLogPath: '/dev/stdout', descriptors: Buffer.alloc(0) };

  it('is nowhere without origins', () => {
    expect(JSON.stringify([edgeRoutes('1'), edgeListeners(edge)])).not.toContain('cors');
  });

  it('stands once in the routes that every move sends again, and names all methods there are', () => {
    const [without, routes] = [edgeRoutes('1'), edgeRoutes('1', ['https://a.example'])].map((each) =>
      JSON.stringify(each),
    );
    expect(routes?.split('CorsPolicy')).toHaveLength(2);
    expect(Number(routes?.length) - Number(without?.length)).toBeLessThan(900);
    for (const method of new Set(ENDPOINTS.map((row) => row.method))) expect(routes).toContain(method);
  });
});
