import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '#domain/routing/address.ts';

describe('parseAddress', () => {
  it.each([
    ['10.0.0.5', '10.0.0.5', 'ip'],
    ['255.255.255.255', '255.255.255.255', 'ip'],
    ['::1', '::1', 'ip'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1', 'ip'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', 'ip'],
    ['fe80:0:1:0:0:0:0:0', 'fe80:0:1::', 'ip'],
    ['1:2:3:4:5:6:7:0', '1:2:3:4:5:6:7:0', 'ip'],
    ['::ffff:10.0.0.5', '::ffff:a00:5', 'ip'],
    ['projection-s1', 'projection-s1', 'dns'],
    ['Stack_Projection.Internal', 'stack_projection.internal', 'dns'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example', 'dns'],
    ['localhost', 'localhost', 'dns'],
    ['3com', '3com', 'dns'],
  ])('reads %s as %s (%s)', (text, spelling, form) => {
    expect(parseAddress(text)).toEqual({ text: spelling, form });
  });

  it.each([
    '',
    '0.0.0.0',
    '::',
    '0:0:0:0:0:0:0:0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0',
    '1.2.3.4.5',
    '[::1]',
    'fe80::1%eth0',
    '1::2::3',
    ':::',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '12345::',
    '10.0.0.5:9001',
    'host:80',
    'a..b',
    '.a',
    'a.',
    '-a',
    'a-',
    'a b',
    'http://a',
    'a/b',
    'ä.example',
    'a'.repeat(64),
    `${'a.'.repeat(127)}ab`,
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('agrees with the platform on which texts are IP addresses, and keeps their meaning', () => {
    const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:.]{1,20}$/));
    fc.assert(
      fc.property(texts, (text) => {
        const address = parseAddress(text);
        if (address?.form === 'ip') {
          expect(isIP(text)).toBeGreaterThan(0);
          expect(canonical(address.text)).toBe(canonical(text));
          expect(parseAddress(address.text)).toEqual(address);
        } else if (isIP(text) > 0) expect(canonical(text)).toMatch(/^(0\.0\.0\.0|\[::\])$/);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The URL parser's spelling as a second opinion; it writes an IPv6 address by RFC 5952 too. */
const canonical = (text: string) => new URL(`http://${text.includes(':') ? `[${text}]` : text}`).hostname;
