/** From this size on a request may take long enough to keep others waiting: it names thousands of resources. */
const LARGE_BYTES = 16_384;

/**
 * Hands requests to their streams in order, large ones one at a time with a turn of the event loop between them: when
 * a hundred Envoys come back at once, a move still reaches the others within a few milliseconds. A stream's requests
 * wait behind its own large one only. Bounded by what grpc-js has received, which flow control bounds.
 */
export class RequestQueue {
  readonly #streams = new Map<object, { readonly handle: (bytes: Buffer) => void; readonly waiting: Buffer[] }>();
  #scheduled = false;

  /** @param handle must not throw */
  push(stream: object, bytes: Buffer, handle: (bytes: Buffer) => void): void {
    const line = this.#streams.get(stream);
    if (line !== undefined) line.waiting.push(bytes);
    else if (bytes.length < LARGE_BYTES) handle(bytes);
    else {
      this.#streams.set(stream, { handle, waiting: [bytes] });
      this.#schedule();
    }
  }

  /** Forgets what a stream that ended had waiting. */
  drop(stream: object): void {
    this.#streams.delete(stream);
  }

  #schedule(): void {
    if (this.#scheduled || this.#streams.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#handleOne();
      this.#schedule();
    });
  }

  /** One request of the stream that has waited longest; with more to do it goes to the end of the line. */
  #handleOne(): void {
    const [next] = this.#streams;
    if (next === undefined) return;
    const [stream, line] = next;
    const bytes = line.waiting.shift();
    this.#streams.delete(stream);
    if (line.waiting.length > 0) this.#streams.set(stream, line);
    if (bytes !== undefined) line.handle(bytes);
  }
}
