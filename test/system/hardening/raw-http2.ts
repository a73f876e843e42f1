import { connect, type Socket } from 'node:net';

/** Types of frames (RFC 9113, 6) and the flags that matter to whoever breaks the rules. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, endHeaders: 4 } as const;

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** One frame, whatever is in it. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A whole number of four bytes, the payload of some frames. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One setting (RFC 9113, 6.5.1). */
export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

type Field = readonly [name: string, value: string];

/**
 * A header block (RFC 7541) of literal fields, byte for byte as they are given: names in upper case, line ends in values
 * and all else that a library would refuse to send.
 * @param indexed whether the fields are also put into the table of the other side
 */
export const headerBlock = (fields: readonly Field[], indexed = false): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([indexed ? 0x40 : 0]), literal(name), literal(value)]));

/** A string without Huffman coding (RFC 7541, 5.2). */
function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([integer(bytes.length), bytes]);
}

/** An integer with a prefix of seven bits (RFC 7541, 5.1). */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

/** What came back on one stream. */
export interface RawStream {
  readonly headerFrames: number;
  readonly data: string;
  /** Error code of RST_STREAM. */
  readonly reset: number | undefined;
  readonly isEnded: boolean;
}

/** A connection of HTTP/2 in clear that sends whatever it is told. */
export class RawHttp2 implements Disposable {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  readonly #streams = new Map<number, RawStream>();
  #isClosed = false;
  #goAway: number | undefined;

  /** @param reads false: takes nothing of what is sent to it */
  constructor(http: string, { reads = true, settings = [] as readonly Uint8Array[] } = {}) {
    const { hostname, port } = new URL(http);
    this.#socket = connect(Number(port), hostname);
    this.#socket.on('error', () => undefined);
    this.#socket.once('close', () => {
      this.#isClosed = true;
    });
    if (reads) this.#socket.on('data', (part) => this.#take(Buffer.from(part)));
    else this.#socket.pause();
    this.#socket.write(PREFACE, 'latin1');
    this.send(frame(FRAME.settings, 0, 0, Buffer.concat(settings)));
  }

  /** Sends bytes. @returns false once the connection is gone */
  send(bytes: Uint8Array): boolean {
    if (this.#socket.destroyed) return false;
    this.#socket.write(bytes);
    return true;
  }

  /** Whether the gateway has ended the connection, by GOAWAY with an error or by closing it. */
  get isEnded(): boolean {
    return this.#isClosed || (this.#goAway ?? 0) !== 0;
  }

  /** Bytes that the other side has not taken yet. */
  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  stream(id: number): RawStream | undefined {
    return this.#streams.get(id);
  }

  get streams(): readonly RawStream[] {
    return [...this.#streams.values()];
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(part: Buffer): void {
    this.#received = Buffer.concat([this.#received, part]);
    while (this.#received.length >= 9) {
      const length = this.#received.readUIntBE(0, 3);
      if (this.#received.length < 9 + length) return;
      const [type, flags, id] = [
        this.#received.readUInt8(3),
        this.#received.readUInt8(4),
        this.#received.readUInt32BE(5) & 0x7fffffff,
      ];
      const payload = this.#received.subarray(9, 9 + length);
      this.#received = this.#received.subarray(9 + length);
      if (type === FRAME.goAway) this.#goAway = payload.readUInt32BE(4);
      else if (id !== 0) this.#note(type, flags, id, payload);
    }
  }

  #note(type: number, flags: number, id: number, payload: Buffer): void {
    const known = this.#streams.get(id) ?? { headerFrames: 0, data: '', reset: undefined, isEnded: false };
    const isContent = type === FRAME.data || type === FRAME.headers;
    this.#streams.set(id, {
      headerFrames: known.headerFrames + (type === FRAME.headers ? 1 : 0),
      data: known.data + (type === FRAME.data ? payload.toString('latin1') : ''),
      reset: type === FRAME.reset ? payload.readUInt32BE(0) : known.reset,
      isEnded: known.isEnded || (isContent && (flags & FLAG.endStream) !== 0),
    });
  }
}
