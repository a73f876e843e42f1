import { createReadStream } from 'node:fs';
import { UsageError } from './failures.ts';

const NEW_LINE = 10;
const READ_BYTES = 1_048_576;
/** What is kept of a line that is too long: enough to recognise it by. */
const BEGINNING_BYTES = 512;

/** Takes the lines of a log one after the other. */
export interface LineSink {
  /** A whole line, without its line break. */
  line(text: string): void;
  /** A line longer than the bound, of which only the beginning was kept. */
  lineTooLong(beginning: string): void;
  /** What stands behind the last line break; '' for nothing. */
  rest(text: string): void;
}

/**
 * Reads a log of any size line by line: no more than a chunk and one line of `lineMaxBytes` is in memory.
 * @throws whatever the source throws
 */
export async function readLogLines(
  source: AsyncIterable<Uint8Array>,
  sink: LineSink,
  lineMaxBytes: number,
): Promise<void> {
  const splitter = new LineSplitter(sink, lineMaxBytes);
  for await (const chunk of source) splitter.push(chunk);
  splitter.end();
}

/** The bytes of a log file. @throws UsageError while it is read, when it cannot be */
export async function* readLogFile(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file, { highWaterMark: READ_BYTES });
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

class LineSplitter {
  readonly #sink: LineSink;
  readonly #lineMaxBytes: number;
  /** The parts of a line that began in an earlier chunk. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isTooLong = false;

  constructor(sink: LineSink, lineMaxBytes: number) {
    this.#sink = sink;
    this.#lineMaxBytes = lineMaxBytes;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(NEW_LINE, from);
      if (at === -1) break;
      this.#hold(chunk.subarray(from, at));
      this.#tell((text) => this.#sink.line(text));
      from = at + 1;
    }
    if (from < chunk.length) this.#hold(chunk.subarray(from));
  }

  end(): void {
    this.#tell((text) => this.#sink.rest(text));
  }

  #hold(part: Uint8Array): void {
    if (this.#isTooLong) return;
    this.#heldBytes += part.length;
    this.#held.push(part);
    if (this.#heldBytes <= this.#lineMaxBytes) return;
    this.#isTooLong = true;
    // A copy: the chunks of the long line can go.
    this.#held = [Buffer.concat(this.#held, BEGINNING_BYTES)];
  }

  #tell(tellWhole: (text: string) => void): void {
    const [only, ...more] = this.#held;
    const bytes = only === undefined || more.length > 0 ? Buffer.concat(this.#held) : only;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    if (this.#isTooLong) this.#sink.lineTooLong(text);
    else tellWhole(text);
    this.#held = [];
    this.#heldBytes = 0;
    this.#isTooLong = false;
  }
}
