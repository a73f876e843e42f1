import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Answer, type Command, CommandLog } from '../../nodes/aggregate/command-log.ts';

const NOW = new Date('2026-01-01T00:00:00Z');

function newLog(limits: { aggregatesMaxCount?: number; commandsMaxCount?: number } = {}): CommandLog {
  let made = 0;
  const makeId = (): string => {
    made += 1;
    return `e${made}`;
  };
  return new CommandLog({ makeId, ...limits });
}

const command = (overrides: Partial<Command> = {}): Command => ({
  aggregateType: 'order',
  aggregateId: 'o1',
  commandId: 'c1',
  commandType: 'place',
  payload: {},
  ...overrides,
});

const step = fc.record({
  tenant: fc.constantFrom('acme', 'globex'),
  aggregateId: fc.constantFrom('a', 'b'),
  commandId: fc.constantFrom('1', '2', '3', '4', '5', '6'),
  expectedVersion: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
});

describe('CommandLog', () => {
  it('behaves as a slow, obvious model under any sequence of commands', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const log = newLog();
        const versions = new Map<string, number>();
        const answers = new Map<string, { aggregateId: string; answer: Answer }>();
        for (const { tenant, aggregateId, commandId, expectedVersion } of steps) {
          const expectation = expectedVersion === undefined ? {} : { expectedVersion };
          const result = log.submit(tenant, command({ aggregateId, commandId, ...expectation }), NOW);
          const known = answers.get(`${tenant} ${commandId}`);
          const version = versions.get(`${tenant} ${aggregateId}`) ?? 0;
          if (known !== undefined) {
            const reused = { ok: false, refusal: { reason: 'command_id_reused' } };
            expect(result).toEqual(known.aggregateId === aggregateId ? { ok: true, answer: known.answer } : reused);
          } else if (expectedVersion !== undefined && expectedVersion !== version) {
            const refusal = { reason: 'version_mismatch', expected: expectedVersion, actual: version };
            expect(result).toEqual({ ok: false, refusal });
          } else {
            if (!result.ok) throw new Error('must be accepted');
            expect(result.answer).toMatchObject({ version: version + 1, events: [{ sequence: version + 1 }] });
            versions.set(`${tenant} ${aggregateId}`, version + 1);
            answers.set(`${tenant} ${commandId}`, { aggregateId, answer: result.answer });
          }
        }
      }),
    );
  });

  it('gives events without gaps, each with an id of its own', () => {
    const log = newLog();
    for (let index = 1; index <= 20; index += 1) log.submit('acme', command({ commandId: `c${index}` }), NOW);
    const { version, events } = log.history('acme', command());
    expect(version).toBe(20);
    expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(20);
  });

  it('keeps the version but only the last events of a long history', () => {
    const log = newLog();
    for (let index = 1; index <= 150; index += 1) log.submit('acme', command({ commandId: `c${index}` }), NOW);
    const { version, events } = log.history('acme', command());
    expect([version, events.length, events[0]?.sequence]).toEqual([150, 100, 51]);
  });

  it('forgets the command and the aggregate longest unused, not others', () => {
    const log = newLog({ aggregatesMaxCount: 2, commandsMaxCount: 2 });
    const submit = (aggregateId: string, commandId: string) => {
      const result = log.submit('acme', command({ aggregateId, commandId }), NOW);
      return result.ok ? result.answer.version : result.refusal.reason;
    };
    expect([submit('a', '1'), submit('b', '2'), submit('a', '3')]).toEqual([1, 1, 2]);
    // Command 1 is forgotten and runs again; 3 is remembered.
    expect([submit('a', '1'), submit('a', '3')]).toEqual([3, 2]);
    // A third aggregate drives out b, the one longest unused.
    expect([submit('c', '5'), submit('b', '6'), submit('c', '7')]).toEqual([1, 1, 2]);
  });
});
