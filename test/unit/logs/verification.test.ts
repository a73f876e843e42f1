import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LogVerification } from '#domain/logs/verification.ts';

const routed = (routedBy: number, decidedBy = routedBy): string =>
  JSON.stringify({
    decision_id: 'dec_1',
    outcome: 'allow',
    decided_revision: String(decidedBy),
    decided_cluster: 'projection/s1',
    routed_revision: String(routedBy),
    upstream_cluster: 'projection/s1',
  });

it('counts what happened and the revisions it happened by', () => {
  const log = new LogVerification(10);
  for (const line of [routed(9), routed(4), '{"status":404}', '{"decision_id":"d","outcome":"deny","reason":"r"}']) {
    log.line(line);
  }
  expect(log.report()).toEqual({
    ok: true,
    lines: 4,
    fates: { routed: 2, unrouted: 0, denied: 1, undecided: 1 },
    revisions: { equal: 2, substituted: 0 },
    routedBy: { first: 4, last: 9 },
    mistakes: {},
    offendingLines: 0,
    offending: [],
    unfinished: false,
  });
});

it('names offending lines by their number, counts all and remembers no more than asked', () => {
  const log = new LogVerification(2);
  log.line(routed(7));
  log.line('');
  log.line(routed(7, 6));
  log.lineTooLong('{"path":"/aaaa');
  log.line('rubbish');
  const { ok, lines, offendingLines, offending, mistakes } = log.report();
  expect({ ok, lines, offendingLines, mistakes }).toEqual({
    ok: false,
    lines: 5,
    offendingLines: 3,
    mistakes: { revision_older: 1, too_long: 1, unreadable: 1 },
  });
  expect(offending).toEqual([
    { number: 3, mistakes: ['revision_older'], text: routed(7, 6) },
    { number: 4, mistakes: ['too_long'], text: '{"path":"/aaaa' },
  ]);
});

it('verifies a last line without a line break, and forgives one that is not finished', () => {
  const whole = new LogVerification(10);
  whole.rest(routed(7, 6));
  expect(whole.report()).toMatchObject({ ok: false, lines: 1, unfinished: false });
  const cut = new LogVerification(10);
  cut.rest(routed(7).slice(0, 40));
  expect(cut.report()).toMatchObject({ ok: true, lines: 0, unfinished: true });
});

it('finds every changed line and no other, wherever they stand', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (tampered) => {
      const log = new LogVerification(1_000);
      for (const isTampered of tampered) log.line(isTampered ? routed(7).replace('"7"', '"6"') : routed(7));
      const expected = tampered.flatMap((isTampered, at) => (isTampered ? [at + 1] : []));
      expect(log.report().offending.map(({ number }) => number)).toEqual(expected);
      expect(log.report().ok).toBe(expected.length === 0);
    }),
  );
});
