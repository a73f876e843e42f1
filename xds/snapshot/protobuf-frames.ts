/** Wire type 2 of the protobuf encoding: a length and that many bytes. */
const LENGTH_DELIMITED = 2;

/** A varint of a non-negative integer below 2^31. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** A field of bytes or of an embedded message. */
export const lengthDelimited = (field: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([varint((field << 3) | LENGTH_DELIMITED), varint(bytes.length), bytes]);

/** A field of text; the empty text is the default and is left out (proto3). */
export const stringField = (field: number, text: string): Buffer =>
  text === '' ? Buffer.alloc(0) : lengthDelimited(field, Buffer.from(text, 'utf8'));
