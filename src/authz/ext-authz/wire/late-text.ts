import type { ProtobufReader } from './protobuf-reader.ts';

/** A text that is only looked at when a request is denied: until then it costs no more than its place in the bytes. */
export class LateText {
  readonly #reader: ProtobufReader;
  #from = 0;
  #to = 0;
  /** How often it was met; the last one counts. */
  count = 0;

  constructor(reader: ProtobufReader) {
    this.#reader = reader;
  }

  /** Remembers what the reader stepped over last. */
  take(): void {
    this.#from = this.#reader.from;
    this.#to = this.#reader.to;
    this.count += 1;
  }

  clear(): void {
    this.#from = 0;
    this.#to = 0;
    this.count = 0;
  }

  /** One character per byte; '' when there was nothing. Valid until the reader begins another message. */
  read(): string {
    return this.#from === this.#to ? '' : this.#reader.latin1(this.#from, this.#to);
  }
}
