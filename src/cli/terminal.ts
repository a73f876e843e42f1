import type { ReadStream, WriteStream } from 'node:tty';
import { createPaint, type Paint, wantsColour } from './render.ts';

const STDIN_MAX_BYTES = 67_108_864;

/** The terminal or the pipes that the command runs on. */
export interface Terminal {
  readonly paint: Paint;
  readonly errorPaint: Paint;
  /** Whether a person can be asked something. */
  readonly interactive: boolean;
  out(text: string): void;
  err(text: string): void;
  /** All of standard input as text. @throws Error when it is larger than 64 MiB */
  readInput(): Promise<string>;
  /** Standard input as it comes, of any size. */
  input(): AsyncIterable<Uint8Array>;
  /** Asks on standard error and reads one line without showing it. @throws Error when the person gives up (Ctrl-C) */
  askSecret(question: string): Promise<string>;
}

/** The terminal of a process. */
export function createTerminal(streams: {
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
  readonly stderr: WriteStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}): Terminal {
  const { stdin, stdout, stderr, env } = streams;
  return {
    paint: createPaint(wantsColour(stdout.isTTY === true, env)),
    errorPaint: createPaint(wantsColour(stderr.isTTY === true, env)),
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    readInput: () => readAll(stdin),
    input: () => stdin,
    askSecret: (question) => askSecret(stdin, stderr, question),
  };
}

async function readAll(stdin: ReadStream): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stdin) {
    const buffer = Buffer.from(part);
    bytes += buffer.length;
    if (bytes > STDIN_MAX_BYTES) throw new Error('standard input is larger than 64 MiB');
    parts.push(buffer);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Raw mode turns the echo off; it also hands Ctrl-C and backspace to us, so both are handled here. */
function askSecret(stdin: ReadStream, stderr: WriteStream, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    stderr.write(question);
    stdin.setRawMode(true);
    stdin.setEncoding('utf8');
    const editor = createLineEditor();
    const onData = (keys: string): void => {
      const line = editor(keys);
      if (line === undefined) return;
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      if (line === null) reject(new Error('given up'));
      else resolve(line);
    };
    stdin.on('data', onData);
    stdin.resume();
  });
}

/**
 * Collects key strokes of a hidden line.
 * @returns a function of the next keys: undefined while the line goes on, the line at its end, null when given up
 */
export function createLineEditor(): (keys: string) => string | null | undefined {
  let line = '';
  return (keys) => {
    for (const key of keys) {
      if (key === '\r' || key === '\n') return line;
      if (key === '\u0003') return null;
      if (key === '\u0004') return line === '' ? null : line;
      if (key === '\u007f' || key === '\b') line = [...line].slice(0, -1).join('');
      else if (key === '\u0015') line = '';
      else line += key;
    }
    return undefined;
  };
}
