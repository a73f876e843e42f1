import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLog } from '#platform/log.ts';

function capture() {
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  return { lines, log: createLog({ service: 'test', replica: 'r1', destination }) };
}

describe('the log', () => {
  it('writes one JSON line with level, time, service and replica', () => {
    const { lines, log } = capture();
    log.info({ decision_id: 'dec_1' }, 'denied');
    const line: unknown = JSON.parse(lines.join(''));
    expect(line).toMatchObject({ level: 'info', service: 'test', replica: 'r1', decision_id: 'dec_1', msg: 'denied' });
    expect(line).toHaveProperty('time', expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/));
  });

  it.each(['password', 'refresh_token', 'access_token', 'authorization', 'cookie', 'bootstrap_token', 'privateKey'])(
    'never shows a member called %s, at the top or below',
    (member) => {
      const { lines, log } = capture();
      log.info({ [member]: 'a secret', body: { [member]: 'a secret' } }, 'request');
      expect(lines.join('')).not.toContain('a secret');
      expect(lines.join('').split('[redacted]')).toHaveLength(3);
    },
  );

  it('never shows credentials among headers', () => {
    const { lines, log } = capture();
    log.info({ request: { headers: { authorization: 'Bearer x.y.z', cookie: 'id=1', accept: 'text/plain' } } }, 'in');
    expect(lines.join('')).not.toMatch(/x\.y\.z|id=1/);
    expect(lines.join('')).toContain('text/plain');
  });
});
