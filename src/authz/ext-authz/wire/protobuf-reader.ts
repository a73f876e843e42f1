import { isUtf8 } from 'node:buffer';

/** The bytes are not the message they should be, or not in a spelling we accept. There is one, without a stack. */
export class MalformedMessage extends Error {
  constructor() {
    super('malformed protobuf message');
    this.name = 'MalformedMessage';
  }
}

/** Thrown for every malformed message: making an error with a stack for each would be a way to keep us busy. */
export const MALFORMED = new MalformedMessage();

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;
const VARINT_MAX_BYTES = 10;

/** The tag of a length-delimited field: what a `switch` over {@link ProtobufReader.tag} compares with. */
export const bytesTag = (fieldNumber: number): number => (fieldNumber << 3) | WIRE_BYTES;

const ENTRY_KEY = bytesTag(1);
const ENTRY_VALUE = bytesTag(2);

/**
 * Walks over the fields of a protobuf message and of the messages inside it, in place. One reader serves one process:
 * it allocates nothing but the texts it is asked for. A field of an unexpected wire type counts as unknown, as in
 * every protobuf runtime; groups, which proto3 does not have, are refused.
 */
export class ProtobufReader {
  #bytes: Buffer = Buffer.alloc(0);
  #position = 0;
  /** End of the message that is read now. */
  #end = 0;
  /** Field number and wire type of the field before the position. */
  tag = 0;
  /** The bytes that were stepped over last. */
  from = 0;
  to = 0;
  keyFrom = 0;
  keyTo = 0;

  begin(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#position = 0;
    this.#end = bytes.length;
  }

  /** Moves on to the next field of this message and sets `tag`; false at its end. @throws MalformedMessage */
  next(): boolean {
    if (this.#position >= this.#end) return false;
    this.tag = this.#uint32();
    if (this.tag >>> 3 === 0) throw MALFORMED;
    return true;
  }

  /** Enters the length-delimited field here; give the returned value to `leave` afterwards. @throws MalformedMessage */
  enter(): number {
    const length = this.#length();
    const outerEnd = this.#end;
    this.#end = this.#position + length;
    return outerEnd;
  }

  leave(outerEnd: number): void {
    this.#position = this.#end;
    this.#end = outerEnd;
  }

  /** Steps over a field of whatever type. @throws MalformedMessage */
  skip(): void {
    switch (this.tag & 7) {
      case WIRE_VARINT:
        this.#skipVarint();
        break;
      case WIRE_FIXED64:
        this.#advance(8);
        break;
      case WIRE_BYTES:
        this.#advance(this.#length());
        break;
      case WIRE_FIXED32:
        this.#advance(4);
        break;
      default:
        throw MALFORMED;
    }
  }

  /** Steps over a length-delimited field; `from` and `to` then span it. @throws MalformedMessage */
  spanBytes(): void {
    const length = this.#length();
    this.from = this.#position;
    this.#position += length;
    this.to = this.#position;
  }

  /**
   * Steps over an entry of a map whose keys and values are both length-delimited; `keyFrom` to `keyTo` and `from` to
   * `to` then span them. An entry with two keys or two values is refused: readers differ about it.
   * @throws MalformedMessage
   */
  spanEntry(): void {
    const outerEnd = this.enter();
    let valueFrom = 0;
    let valueTo = 0;
    let parts = 0;
    this.keyFrom = 0;
    this.keyTo = 0;
    while (this.next()) {
      if (this.tag === ENTRY_KEY) {
        this.spanBytes();
        this.keyFrom = this.from;
        this.keyTo = this.to;
        if ((parts & 1) !== 0) throw MALFORMED;
        parts |= 1;
      } else if (this.tag === ENTRY_VALUE) {
        this.spanBytes();
        valueFrom = this.from;
        valueTo = this.to;
        if ((parts & 2) !== 0) throw MALFORMED;
        parts |= 2;
      } else this.skip();
    }
    this.leave(outerEnd);
    this.from = valueFrom;
    this.to = valueTo;
  }

  /** Reads the message in a span met before (`read` calls `next`), then goes on here. @throws MalformedMessage */
  within(from: number, to: number, read: () => void): void {
    const position = this.#position;
    const end = this.#end;
    this.#position = from;
    this.#end = to;
    read();
    this.#position = position;
    this.#end = end;
  }

  /** The span as a text of one character per byte: for grammars of ASCII, which then refuse every other byte. */
  latin1(from: number, to: number): string {
    return this.#bytes.toString('latin1', from, to);
  }

  /** The span as UTF-8 text. @throws MalformedMessage when it is not UTF-8 */
  utf8(from: number, to: number): string {
    for (let index = from; index < to; index += 1) {
      if ((this.#bytes[index] ?? 0) < 0x80) continue;
      if (!isUtf8(this.#bytes.subarray(from, to))) throw MALFORMED;
      return this.#bytes.toString('utf8', from, to);
    }
    return this.#bytes.toString('latin1', from, to);
  }

  /** Whether the span holds exactly these bytes. */
  equals(from: number, to: number, expected: Uint8Array): boolean {
    const length = expected.length;
    if (to - from !== length) return false;
    // From the end: the names we look for differ from others of their length there.
    for (let index = length - 1; index >= 0; index -= 1) {
      if (this.#bytes[from + index] !== expected[index]) return false;
    }
    return true;
  }

  #length(): number {
    const length = this.#uint32();
    if (length > this.#end - this.#position) throw MALFORMED;
    return length;
  }

  #advance(count: number): void {
    if (count > this.#end - this.#position) throw MALFORMED;
    this.#position += count;
  }

  #uint32(): number {
    const bytes = this.#bytes;
    let position = this.#position;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (position >= this.#end) throw MALFORMED;
      const byte = bytes[position] ?? 0;
      position += 1;
      if (shift === 28 && byte > 0x0f) throw MALFORMED;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#position = position;
        return value >>> 0;
      }
    }
    throw MALFORMED;
  }

  #skipVarint(): void {
    for (let count = 0; count < VARINT_MAX_BYTES; count += 1) {
      if (this.#position >= this.#end) throw MALFORMED;
      const byte = this.#bytes[this.#position] ?? 0;
      this.#position += 1;
      if (byte < 0x80) return;
    }
    throw MALFORMED;
  }
}
