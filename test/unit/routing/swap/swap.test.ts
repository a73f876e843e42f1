import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assembleSwap, type SwapInputs } from '#domain/routing/swap/swap.ts';
import {
  parseAuthzSwapFacts,
  parseSwapQuestion,
  parseXdsSwapFacts,
  type XdsSwapFacts,
} from '#domain/routing/swap/swap-facts.ts';

const AT = '2026-03-01T12:00:00.000Z';
const T0 = Date.parse(AT);
const summary = { revision: 7, at: AT, by: 'ann', note: 'why' };
const nothing: SwapInputs = { summary, envoys: [], xds: [], authz: [] };
const live = (node: string, acked: number, connectedAt = '2026-03-01T11:00:00.000Z') => ({ node, acked, connectedAt });
const ack = (node: string, atMs: number, revision = 7) => ({
  node,
  sent: { revision, atMs: atMs - 1 },
  acked: { revision, atMs },
  rejected: [],
});
const xds = (replica: string, envoys: XdsSwapFacts['envoys'], sinceMs = 0) => ({
  replica,
  facts: { sinceMs, envoys, loaded: { revision: 7, atMs: T0 + 1 }, stamped: { revision: 7, atMs: T0 + 2 } },
});

describe('a swap record', () => {
  it('is complete when the last live Envoy has acknowledged, and says when that was', () => {
    const swap = assembleSwap({
      ...nothing,
      envoys: [live('b', 9), live('a', 7)],
      xds: [xds('x', [ack('a', T0 + 5), ack('b', T0 + 9, 8), ack('gone', T0 + 500)])],
    });
    expect(swap).toMatchObject({ complete: true, completedAtMs: T0 + 9, by: 'ann', publishedAtMs: T0 });
    expect(swap.envoys.map(({ node, live, stamp }) => [node, live, stamp])).toEqual([
      ['a', true, 7],
      ['b', true, 8],
      ['gone', false, 7],
    ]);
    expect(swap.xds).toEqual([{ replica: 'x', loadedAtMs: T0 + 1, stampedAtMs: T0 + 2 }]);
  });

  it('is not complete while one is behind, nor while there is none', () => {
    const behind = assembleSwap({
      ...nothing,
      envoys: [live('a', 7), live('b', 6)],
      xds: [xds('x', [ack('a', T0 + 5)])],
    });
    expect([behind.complete, behind.completedAtMs]).toEqual([false, undefined]);
    expect(assembleSwap(nothing).complete).toBe(false);
  });

  it('an Envoy that came later does not make it look slow, and one that was unseen makes it untimed', () => {
    const timed = (connectedAt: string) =>
      assembleSwap({
        ...nothing,
        envoys: [live('a', 9), live('late', 9, connectedAt)],
        xds: [xds('x', [ack('a', T0 + 5), { node: 'late', rejected: [] }])],
      });
    expect(timed('2026-03-01T12:30:00.000Z')).toMatchObject({ complete: true, completedAtMs: T0 + 5 });
    expect(timed('2026-03-01T11:30:00.000Z').completedAtMs).toBeUndefined();
  });

  it('an Envoy that changed its xds replica counts once, with its first acknowledgement', () => {
    const swap = assembleSwap({
      ...nothing,
      envoys: [live('a', 7)],
      xds: [xds('x2', [ack('a', T0 + 50)]), xds('x1', [ack('a', T0 + 5)])],
    });
    expect(swap.envoys).toMatchObject([{ node: 'a', sentAtMs: T0 + 4, ackedAtMs: T0 + 5 }]);
  });

  it('a replica that began to remember later does not say when', () => {
    const swap = assembleSwap({
      ...nothing,
      envoys: [live('a', 7)],
      xds: [xds('x', [ack('a', T0 + 900)], T0 + 800)],
      authz: [{ replica: 'z', facts: { sinceMs: T0 + 800, held: { revision: 7, atMs: T0 + 801 } } }],
    });
    expect(swap).toMatchObject({ complete: true, xds: [{ replica: 'x' }], authz: [{ replica: 'z', requests: 0 }] });
    expect([swap.completedAtMs, swap.xds[0]?.loadedAtMs, swap.authz[0]?.heldAtMs]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('spans the requests of all authz replicas', () => {
    const facts = (firstAtMs: number, lastAtMs: number, count: number) => ({
      sinceMs: 0,
      decided: { firstAtMs, lastAtMs, count },
    });
    const swap = assembleSwap({
      ...nothing,
      authz: [
        { replica: 'z2', facts: facts(T0 + 9, T0 + 20, 2) },
        { replica: 'z1', facts: facts(T0 + 7, T0 + 12, 3) },
        { replica: 'z3', facts: { sinceMs: 0 } },
      ],
    });
    expect(swap).toMatchObject({ firstDecidedAtMs: T0 + 7, lastDecidedAtMs: T0 + 20, requests: 5 });
    expect(swap.authz.map(({ replica }) => replica)).toEqual(['z1', 'z2', 'z3']);
  });
});

describe('facts as messages', () => {
  const time = fc.record({ revision: fc.nat(), atMs: fc.nat() });
  const rejection = fc.record({ type: fc.string(), names: fc.array(fc.string()), error: fc.string(), atMs: fc.nat() });
  const envoy = fc.record(
    { node: fc.string(), sent: time, acked: time, rejected: fc.array(rejection) },
    { requiredKeys: ['node', 'rejected'] },
  );
  const xdsFacts = fc.record(
    { sinceMs: fc.nat(), loaded: time, stamped: time, envoys: fc.array(envoy) },
    { requiredKeys: ['sinceMs', 'envoys'] },
  );
  const decided = fc.record({ firstAtMs: fc.nat(), lastAtMs: fc.nat(), count: fc.nat() });
  const authzFacts = fc.record({ sinceMs: fc.nat(), held: time, decided }, { requiredKeys: ['sinceMs'] });

  it('come through JSON as they were', () => {
    fc.assert(
      fc.property(xdsFacts, authzFacts, (fromXds, fromAuthz) => {
        expect(parseXdsSwapFacts(JSON.parse(JSON.stringify(fromXds)))).toEqual(fromXds);
        expect(parseAuthzSwapFacts(JSON.parse(JSON.stringify(fromAuthz)))).toEqual(fromAuthz);
      }),
    );
  });

  it('anything else is no answer, and never an exception', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parseXdsSwapFacts(value);
        parseAuthzSwapFacts(value);
        parseSwapQuestion(value);
      }),
    );
    expect([parseXdsSwapFacts({ sinceMs: 1 }), parseAuthzSwapFacts([]), parseSwapQuestion({})]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
