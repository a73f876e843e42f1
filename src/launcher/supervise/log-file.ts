import { closeSync, openSync, readSync, renameSync, statSync } from 'node:fs';

const LOG_MAX_BYTES = 10 * 1_048_576;
const TAIL_MAX_BYTES = 16_384;

/** An open log file of a child; `startsAt` is where the output of this start begins. */
export interface OpenLog {
  readonly descriptor: number;
  readonly startsAt: number;
  /** This process needs the file no longer; the child has its own descriptor. */
  close(): void;
}

/** Opens a log for appending. One of more than 10 MiB is put aside as `<file>.1` first, over the one before it. */
export function openLog(file: string): OpenLog {
  rotateLog(file);
  const descriptor = openSync(file, 'a', 0o600);
  return { descriptor, startsAt: sizeOf(file), close: () => closeSync(descriptor) };
}

/** Puts a log aside that has grown too large. Only before a start: a running program keeps writing to the file it has. */
export function rotateLog(file: string): void {
  if (sizeOf(file) > LOG_MAX_BYTES) renameSync(file, `${file}.1`);
}

/** The last lines of a log, none from before `startsAt`. */
export function readTail(file: string, startsAt: number, linesMax: number): readonly string[] {
  const size = sizeOf(file);
  const from = Math.max(startsAt, size - TAIL_MAX_BYTES);
  if (size <= from) return [];
  const bytes = Buffer.alloc(size - from);
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, bytes, 0, bytes.length, from);
  } finally {
    closeSync(descriptor);
  }
  return bytes.toString('utf8').trimEnd().split('\n').slice(-linesMax);
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
