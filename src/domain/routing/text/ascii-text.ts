const INITIAL_BYTES = 65_536;

/**
 * A text of ASCII characters that is put together as bytes, in memory that is used again for the next one: nothing is
 * left for the garbage collector, however many pieces there were.
 */
export class AsciiText {
  #bytes = new Uint8Array(INITIAL_BYTES);
  #length = 0;

  /** Begins anew. */
  clear(): void {
    this.#length = 0;
  }

  /** Appends ASCII characters; others would be cut. */
  readonly add = (text: string): void => {
    const end = this.#length + text.length;
    if (end > this.#bytes.length) this.#grow(end);
    const bytes = this.#bytes;
    const start = this.#length;
    for (let index = 0; index < text.length; index += 1) bytes[start + index] = text.charCodeAt(index);
    this.#length = end;
  };

  /** What was added since it was cleared: a view that holds until it is used again. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(bytes: number): void {
    const larger = new Uint8Array(Math.max(bytes, 2 * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
