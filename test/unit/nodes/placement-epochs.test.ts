import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlacementEpochs } from '../../nodes/placement-epochs.ts';

describe('PlacementEpochs', () => {
  it('admits exactly what is not older than everything admitted before for the tenant', () => {
    const requests = fc.array(fc.record({ tenant: fc.constantFrom('a', 'b'), epoch: fc.nat({ max: 9 }) }));
    fc.assert(
      fc.property(requests, (sequence) => {
        const epochs = new PlacementEpochs();
        const newest = new Map<string, number>();
        for (const { tenant, epoch } of sequence) {
          const before = newest.get(tenant) ?? 0;
          const admission = epochs.admit(tenant, String(epoch));
          if (epoch >= before) expect(admission).toEqual({ admitted: true });
          else expect(admission).toEqual({ admitted: false, reason: 'stale', newest: before, got: epoch });
          newest.set(tenant, Math.max(before, epoch));
        }
      }),
    );
  });

  it('admits a request without an epoch and refuses one that is no number', () => {
    const epochs = new PlacementEpochs();
    epochs.admit('a', '5');
    expect(epochs.admit('a', undefined)).toEqual({ admitted: true });
    for (const epoch of ['', '-1', '1.5', '5, 6', '0x9', '1e3', '9'.repeat(16)])
      expect(epochs.admit('a', epoch)).toEqual({ admitted: false, reason: 'malformed' });
  });

  it('remembers a bounded number of tenants, those used last', () => {
    const epochs = new PlacementEpochs(2);
    for (const tenant of ['a', 'b', 'a', 'c']) epochs.admit(tenant, '5');
    expect(epochs.admit('a', '4').admitted).toBe(false);
    expect(epochs.admit('b', '4').admitted).toBe(true);
  });
});
