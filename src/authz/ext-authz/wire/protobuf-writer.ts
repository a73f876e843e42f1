const WIRE_BYTES = 2;
/** Texts up to this length are written byte by byte, which is quicker than a call out of JavaScript. */
const SHORT_TEXT_CHARS = 64;

/**
 * Writes a protobuf message from its end to its beginning into one reused block: when a message is begun its content
 * is there already, so its length is known and nothing is measured twice. Fields therefore appear in the reverse of
 * the order in which they are written.
 */
export class BackwardWriter {
  readonly #block: Buffer;
  #at: number;

  /** @param maxBytes the longest message; a longer one throws a RangeError */
  constructor(maxBytes: number) {
    this.#block = Buffer.allocUnsafeSlow(maxBytes);
    this.#at = maxBytes;
  }

  begin(): void {
    this.#at = this.#block.length;
  }

  /** The finished message, in memory of its own. */
  finish(): Buffer {
    const message = Buffer.allocUnsafe(this.#block.length - this.#at);
    this.#block.copy(message, 0, this.#at);
    return message;
  }

  /** Where the writer stands: give it to `message` once the content of the message is written. */
  mark(): number {
    return this.#at;
  }

  /** Makes a length-delimited field of everything written since `mark`. */
  message(fieldNumber: number, mark: number): void {
    this.varint(mark - this.#at);
    this.varint((fieldNumber << 3) | WIRE_BYTES);
  }

  /** A varint field (int32, enum, bool) with a value that is not negative. */
  number(fieldNumber: number, value: number): void {
    this.varint(value);
    this.varint(fieldNumber << 3);
  }

  /** A string field of visible ASCII. */
  ascii(fieldNumber: number, text: string): void {
    const mark = this.#at;
    this.#reserve(text.length);
    const at = this.#at;
    if (text.length > SHORT_TEXT_CHARS) this.#block.write(text, at, 'latin1');
    else for (let index = 0; index < text.length; index += 1) this.#block[at + index] = text.charCodeAt(index);
    this.message(fieldNumber, mark);
  }

  /** A string field of any text. */
  text(fieldNumber: number, text: string): void {
    const mark = this.#at;
    const bytes = Buffer.from(text, 'utf8');
    this.raw(bytes);
    this.message(fieldNumber, mark);
  }

  /** Bytes that are fields already. */
  raw(bytes: Buffer): void {
    this.#reserve(bytes.length);
    bytes.copy(this.#block, this.#at);
  }

  varint(value: number): void {
    let length = 1;
    for (let rest = value >>> 7; rest > 0; rest >>>= 7) length += 1;
    this.#reserve(length);
    let rest = value;
    for (let index = 0; index < length; index += 1) {
      this.#block[this.#at + index] = index === length - 1 ? rest : (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
  }

  #reserve(count: number): void {
    if (count > this.#at) throw new RangeError('the message is longer than its writer');
    this.#at -= count;
  }
}
