import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('../../../src/platform/program.ts', import.meta.url));
const ENV = fileURLToPath(new URL('../../../src/platform/env.ts', import.meta.url));

/** Runs `start` in a process of its own, which prints `up` when asked to; sends a signal when it sees that. */
async function run(start: string, signal?: NodeJS.Signals): Promise<{ code: number | null; output: string }> {
  const source = `
    import { runProgram } from ${JSON.stringify(PROGRAM)};
    import { EnvReader } from ${JSON.stringify(ENV)};
    const keepAlive = setInterval(() => {}, 1000);
    const up = () => process.stdout.write('up');
    await runProgram({ drainMs: 300, log: () => undefined, start: ${start} });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      output += part;
      if (part.includes('up') && signal !== undefined) child.kill(signal);
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

describe('a program', () => {
  it('ends what it started and exits with 0 on a signal', async () => {
    const ending = "{ [Symbol.asyncDispose]: async () => { process.stdout.write(' down'); } }";
    const { code, output } = await run(`async () => { setTimeout(up, 10); return ${ending}; }`, 'SIGTERM');
    expect([code, output]).toEqual([0, 'up down']);
  });

  it('exits at once when the signal comes while it still starts', async () => {
    const { code } = await run('async () => { setTimeout(up, 10); return new Promise(() => {}); }', 'SIGINT');
    expect(code).toBe(0);
  });

  it('exits with 1 when ending takes too long', async () => {
    const never = '{ [Symbol.asyncDispose]: () => new Promise(() => {}) }';
    expect((await run(`async () => { setTimeout(up, 10); return ${never}; }`, 'SIGTERM')).code).toBe(1);
  });

  it('exits with 1 and says why when it cannot start', async () => {
    const { code, output } = await run("async () => { throw new Error('no disk'); }");
    expect(code).toBe(1);
    expect(output).toContain('no disk');
  });

  it('exits with 2 and names every mistake of its configuration', async () => {
    const { code, output } = await run(
      "async () => { const read = new EnvReader({ A: 'x' }); read.port('A'); read.text('B'); read.finish(); }",
    );
    expect(code).toBe(2);
    expect(output).toContain('A must be a whole number from 0 to 65535, not "x"');
    expect(output).toContain('B is required');
  });
});
