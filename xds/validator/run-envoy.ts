import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LIMITS } from '#domain/limits.ts';
import { BESIDE_BOOTSTRAP } from './bootstrap.ts';
import type { EnvoyRun } from './judge-run.ts';

/** Validates one bootstrap in a process of its own; never rejects. */
export type RunEnvoy = (
  bootstrap: string,
  options: { readonly limitMs: number; readonly signal: AbortSignal },
) => Promise<EnvoyRun>;

const BOOTSTRAP_FILE = 'bootstrap.json';
const ARGUMENTS = ['--mode', 'validate', '-c', BOOTSTRAP_FILE, '-l', 'error', '--concurrency', '1'];

/**
 * Runs `envoy --mode validate` in a temporary folder that holds nothing else, without our environment. After the limit,
 * or when the signal says so, it is killed with everything it started.
 */
export const envoyRunner =
  (file: string): RunEnvoy =>
  async (bootstrap, options) => {
    let folder: string | undefined;
    try {
      folder = await mkdtemp(join(tmpdir(), 'gateway-validate-'));
      for (const [name, content] of Object.entries({ ...BESIDE_BOOTSTRAP, [BOOTSTRAP_FILE]: bootstrap })) {
        await writeFile(join(folder, name), content, { mode: 0o600 });
      }
      return await runIn(folder, file, options);
    } catch (error) {
      return { ended: 'failed', reason: `Envoy cannot be run (${codeOf(error)})` };
    } finally {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true }).catch(() => {});
    }
  };

function runIn(
  folder: string,
  file: string,
  { limitMs, signal }: { readonly limitMs: number; readonly signal: AbortSignal },
): Promise<EnvoyRun> {
  return new Promise((resolve) => {
    const child = startIn(folder, file);
    const [output, errors] = [new Beginning(child.stdout), new Beginning(child.stderr)];
    const finish = (run: EnvoyRun) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      resolve(run);
    };
    const timer = setTimeout(() => {
      kill(child);
      finish({ ended: 'too_late' });
    }, limitMs);
    const stop = () => {
      kill(child);
      finish({ ended: 'failed', reason: 'the validator was stopped' });
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    child.on('error', (error) => finish({ ended: 'failed', reason: `Envoy cannot be run (${codeOf(error)})` }));
    child.on('close', (exitCode, killedBy) => {
      if (exitCode === null) finish({ ended: 'signal', signal: killedBy ?? 'a signal' });
      else finish({ ended: 'exit', exitCode, output: output.text(), errors: errors.text() });
    });
  });
}

/** In a process group of its own, so that whatever it starts can be ended with it. */
const startIn = (folder: string, file: string) =>
  spawn(file, ARGUMENTS, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'pipe'], detached: true });

function kill(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/** The beginning of what a stream says; the rest is read and dropped, so that the process can go on. */
class Beginning {
  readonly #parts: Buffer[] = [];
  #room: number = LIMITS.envoyValidationOutputMaxBytes;

  constructor(stream: NodeJS.ReadableStream) {
    stream.on('data', (part: Buffer) => {
      const kept = part.subarray(0, this.#room);
      this.#room -= kept.length;
      if (kept.length > 0) this.#parts.push(kept);
    });
    // What a stream of a process that was killed complains of is nobody's business.
    stream.on('error', () => {});
  }

  text(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
