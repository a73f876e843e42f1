import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadRegistry, messageFromJson } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import { edgeListeners } from '../../../xds/resources.ts';

/** What HTTP/3 adds to the listeners, as a readable file, and what it leaves alone. */
const descriptors = readFileSync(new URL('../../../proto/command-service.binpb', import.meta.url));
const registry = loadRegistry([readFileSync(new URL('../../../proto/envoy-api.binpb', import.meta.url)), descriptors]);

const edge = { address: '0.0.0.0', port: 8080, tlsPort: 8443, accessLogPath: '/dev/stdout', descriptors };
const without = edgeListeners(edge).map(({ json }) => structuredClone(Object(json)));
const made = edgeListeners({ ...edge, http3: { advertisedPort: 443 } }).map(({ json }) =>
  structuredClone(Object(json)),
);

const chainOf = (listener: Record<string, never>) => Object(listener).filter_chains[0];
const managerOf = (listener: Record<string, never>) => chainOf(listener).filters[0].typed_config;

describe('HTTP/3', () => {
  it('is a listener of its own with the filters, the limits and the certificate of the others', async () => {
    const [plain, , quic] = made;
    const common = managerOf(plain);
    const own = Object.entries(managerOf(quic)).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(common[name]),
    );
    expect(Object.keys(managerOf(quic))).toEqual(expect.arrayContaining(Object.keys(common)));
    const chain = { ...chainOf(quic), filters: [{ 'as in listener-plain.json, but': Object.fromEntries(own) }] };
    const text = `${JSON.stringify({ ...quic, filter_chains: [chain] }, null, 2)}\n`;
    await expect(text).toMatchFileSnapshot('./edge/listener-quic.json');
    const rules = validateRules(registry, messageFromJson(registry, 'envoy.config.listener.v3.Listener', quic));
    expect(rules).toEqual([]);
  });

  it('is announced on the TLS listener alone, and changes nothing else there', () => {
    const [plain, tls] = made;
    const [first, ...rest] = managerOf(tls).http_filters;
    expect(first.typed_config.mutations.response_mutations).toEqual([
      {
        append: {
          append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
          header: { key: 'alt-svc', value: 'h3=":443"; ma=86400' },
        },
      },
    ]);
    managerOf(tls).http_filters = rest;
    expect([plain, tls]).toEqual(without);
    expect(without).toHaveLength(2);
  });
});
