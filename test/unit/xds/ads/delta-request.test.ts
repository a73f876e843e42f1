import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeJson, loadRegistry } from '#platform/proto-registry.ts';
import { parseDeltaRequest } from '../../../../xds/ads/delta-request.ts';

const TYPE = 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
const registry = loadRegistry([readFileSync(new URL('../../../../proto/envoy-api.binpb', import.meta.url))]);
const text = fc.string({ maxLength: 12, unit: 'grapheme' });

describe('a DeltaDiscoveryRequest', () => {
  it('is read as protobuf-es wrote it', () => {
    const request = fc.record({
      typeUrl: text,
      nonce: text,
      nodeId: fc.option(text, { nil: undefined }),
      subscribe: fc.array(text, { maxLength: 5 }),
      unsubscribe: fc.array(text, { maxLength: 5 }),
      versions: fc.dictionary(text, text, { maxKeys: 6 }),
      error: fc.option(text, { nil: undefined }),
    });
    fc.assert(
      fc.property(request, ({ typeUrl, nonce, nodeId, subscribe, unsubscribe, versions, error }) => {
        const bytes = encodeJson(registry, TYPE, {
          type_url: typeUrl,
          response_nonce: nonce,
          ...(nodeId === undefined ? {} : { node: { id: nodeId, cluster: 'edge', metadata: { a: 1 } } }),
          resource_names_subscribe: subscribe,
          resource_names_unsubscribe: unsubscribe,
          initial_resource_versions: { ...versions },
          ...(error === undefined ? {} : { error_detail: { code: 13, message: error } }),
          resource_locators_subscribe: [{ name: 'unknown to us' }],
        });
        const parsed = parseDeltaRequest(bytes);
        expect({ ...parsed, initialVersions: { ...parsed.initialVersions } }).toEqual({
          typeUrl,
          nonce,
          nodeId,
          subscribe,
          unsubscribe,
          initialVersions: { ...versions },
          error,
        });
      }),
    );
  });

  it('keeps names that mean something to JavaScript as plain names', () => {
    const versions = JSON.parse('{"__proto__":"1","constructor":"2"}');
    const bytes = encodeJson(registry, TYPE, { initial_resource_versions: versions });
    expect(Object.entries(parseDeltaRequest(bytes).initialVersions).sort()).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
  });

  it('is refused when it is cut off or no protobuf at all', () => {
    const bytes = encodeJson(registry, TYPE, { type_url: 'type', node: { id: 'n' } });
    for (let end = 1; end < bytes.length; end += 1) {
      if (end === 5) continue; // the end of its first field
      expect(() => parseDeltaRequest(bytes.subarray(0, end))).toThrow();
    }
    expect(() => parseDeltaRequest(Buffer.from('not protobuf'))).toThrow();
  });
});
