import { describe, expect, it } from 'vitest';
import { RevisionUse } from '../../../src/authz/ext-authz/revision-use.ts';

function useWith(maxCount: number) {
  const now = { ms: 0 };
  const use = new RevisionUse({ nowMs: () => now.ms }, maxCount);
  return { use, now };
}

describe('the use of revisions', () => {
  it('remembers the first and the last request of each revision', () => {
    const { use, now } = useWith(4);
    now.ms = 10;
    use.held(7);
    use.decided(7, 11);
    use.decided(7, 12);
    use.decided(7, 15);
    now.ms = 99;
    expect(use.facts(7)).toEqual({
      sinceMs: 0,
      held: { revision: 7, atMs: 10 },
      decided: { firstAtMs: 11, lastAtMs: 15, count: 3 },
    });
    expect(use.facts(3)).toEqual({ sinceMs: 0 });
    expect(use.facts(0)).toEqual({ sinceMs: 0 });
  });

  it('keeps the newest only, and an old stamp does not take their place', () => {
    const { use } = useWith(4);
    use.decided(3, 1);
    use.decided(7, 2);
    use.decided(3, 3);
    expect(use.facts(3).decided).toBeUndefined();
    expect(use.facts(7).decided).toEqual({ firstAtMs: 2, lastAtMs: 2, count: 1 });
  });

  it('another history begins anew', () => {
    const { use } = useWith(4);
    use.held(9);
    use.decided(9, 1);
    use.held(5);
    use.decided(5, 2);
    expect(use.facts(9).decided).toBeUndefined();
    expect(use.facts(5)).toMatchObject({ held: { revision: 5 }, decided: { count: 1 } });
  });

  it('answers questions it can read', () => {
    const { use } = useWith(4);
    use.held(2);
    expect(use.answer({ revision: 2 })).toMatchObject({ held: { revision: 2 } });
    expect(use.answer('what')).toBeUndefined();
  });
});
