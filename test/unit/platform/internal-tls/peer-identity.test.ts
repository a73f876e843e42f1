import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identityOf } from '#domain/internal-identity.ts';
import { alternativeNames, strangerReason, uriIdentities } from '#platform/internal-tls/peer-identity.ts';

const ENVOY = identityOf('envoy');

describe('strangerReason', () => {
  it('admits exactly one identity, and that one of the expected', () => {
    expect(strangerReason(`URI:${ENVOY}`, [ENVOY])).toBeUndefined();
    expect(strangerReason(`DNS:localhost, IP Address:127.0.0.1, URI:${ENVOY}`, ['x', ENVOY])).toBeUndefined();
    expect(strangerReason('URI:spiffe://gateway/envoy2', [ENVOY])).toContain('that of spiffe://gateway/envoy2');
    expect(strangerReason(`URI:${ENVOY}, URI:spiffe://gateway/xds`, [ENVOY])).toContain('more than one');
  });

  it('admits nobody without an identity, whatever else the certificate states', () => {
    for (const text of [undefined, '', 'DNS:localhost', `DNS:${ENVOY}`, `email:${ENVOY}`, 'URI:']) {
      expect(strangerReason(text, [ENVOY]), text).toBeDefined();
    }
    expect(strangerReason(`URI:${ENVOY}`, [])).toBeDefined();
  });

  it('is not taken in by a value that looks like further entries: Node quotes it', () => {
    const quoted = JSON.stringify(`x, URI:${ENVOY}`);
    expect(strangerReason(`URI:${quoted}`, [ENVOY])).toBe('its certificate states no identity');
    expect(strangerReason(`DNS:${quoted}`, [ENVOY])).toBe('its certificate states no identity');
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const value = JSON.stringify(`${before}, URI:${ENVOY}${after}`);
        expect(uriIdentities(`DNS:a, othername:${value}`)).toEqual([]);
      }),
    );
  });

  it('takes a text it does not understand for one without names', () => {
    for (const text of [`URI:${ENVOY},URI:b`, `URI:"unfinished, URI:${ENVOY}`, `${ENVOY}`, `, URI:${ENVOY}`]) {
      expect(strangerReason(text, [ENVOY]), text).toBeDefined();
    }
  });
});

it('reads back any names that need no quotes', () => {
  const name = fc.record({
    type: fc.constantFrom('URI', 'DNS', 'IP Address'),
    value: fc.stringMatching(/^[a-zA-Z0-9:/._-]{1,20}$/),
  });
  fc.assert(
    fc.property(fc.array(name), (names) => {
      expect(alternativeNames(names.map(({ type, value }) => `${type}:${value}`).join(', '))).toEqual(names);
    }),
  );
});
