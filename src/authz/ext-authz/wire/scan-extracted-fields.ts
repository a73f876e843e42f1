import { bytesTag, MALFORMED, type ProtobufReader } from './protobuf-reader.ts';

/** Namespace in which Envoy's gRPC field extraction leaves the fields of the final message. */
export const FIELD_EXTRACTION = 'envoy.filters.http.grpc_field_extraction';

/** The values of each field as extracted; what is no text counts as an empty one, which no check accepts. */
export interface ExtractedFields {
  readonly aggregate_type: string[];
  readonly aggregate_id: string[];
  readonly command_id: string[];
}

/** Field numbers of `envoy.config.core.v3.Metadata` and of google.protobuf.Struct, Value and ListValue. */
const METADATA = { filterMetadata: bytesTag(1) } as const;
const STRUCT = { fields: bytesTag(1) } as const;
const VALUE = { text: bytesTag(3), list: bytesTag(6) } as const;
const LIST = { values: bytesTag(1) } as const;

const NAMESPACE = Buffer.from(FIELD_EXTRACTION, 'latin1');
const NAMES = {
  aggregate_type: Buffer.from('aggregate_type', 'latin1'),
  aggregate_id: Buffer.from('aggregate_id', 'latin1'),
  command_id: Buffer.from('command_id', 'latin1'),
  command_type: Buffer.from('command_type', 'latin1'),
} as const;

/** Reads the extracted fields out of a `metadata_context`, where the reader stands at one. */
export class ExtractedFieldsScanner {
  readonly #reader: ProtobufReader;
  readonly #found: ExtractedFields;
  #sawNamespace = false;
  /** One bit per field met: a key twice would be one value for one reader and another for the next. */
  #seen = 0;
  #values: string[] = [];
  /** Of the type only the form matters here: UTF-8 or not. */
  readonly #unused: string[] = [];

  constructor(reader: ProtobufReader, found: ExtractedFields) {
    this.#reader = reader;
    this.#found = found;
  }

  begin(): void {
    this.#sawNamespace = false;
    this.#seen = 0;
    this.#found.aggregate_type.length = 0;
    this.#found.aggregate_id.length = 0;
    this.#found.command_id.length = 0;
    this.#unused.length = 0;
  }

  /** @throws MalformedMessage */
  metadata(): void {
    const reader = this.#reader;
    const end = reader.enter();
    while (reader.next()) {
      if (reader.tag !== METADATA.filterMetadata) {
        reader.skip();
        continue;
      }
      reader.spanEntry();
      if (!reader.equals(reader.keyFrom, reader.keyTo, NAMESPACE)) continue;
      if (this.#sawNamespace) throw MALFORMED;
      this.#sawNamespace = true;
      reader.within(reader.from, reader.to, this.#struct);
    }
    reader.leave(end);
  }

  readonly #struct = (): void => {
    const reader = this.#reader;
    while (reader.next()) {
      if (reader.tag === STRUCT.fields) {
        reader.spanEntry();
        this.#field();
      } else reader.skip();
    }
  };

  #field(): void {
    const reader = this.#reader;
    const { keyFrom, keyTo } = reader;
    if (reader.equals(keyFrom, keyTo, NAMES.aggregate_type)) this.#take(1, this.#found.aggregate_type);
    else if (reader.equals(keyFrom, keyTo, NAMES.aggregate_id)) this.#take(2, this.#found.aggregate_id);
    else if (reader.equals(keyFrom, keyTo, NAMES.command_id)) this.#take(4, this.#found.command_id);
    else if (reader.equals(keyFrom, keyTo, NAMES.command_type)) this.#take(8, this.#unused);
  }

  #take(bit: number, values: string[]): void {
    if ((this.#seen & bit) !== 0) throw MALFORMED;
    this.#seen |= bit;
    this.#values = values;
    this.#reader.within(this.#reader.from, this.#reader.to, this.#listOfTexts);
  }

  /** A Value that is a list. One of any other kind leaves no values, one of two kinds is refused. */
  readonly #listOfTexts = (): void => {
    const reader = this.#reader;
    let kind = 0;
    while (reader.next()) {
      if (kind !== 0 && kind !== reader.tag) throw MALFORMED;
      kind = reader.tag;
      if (reader.tag !== VALUE.list) {
        reader.skip();
        continue;
      }
      const end = reader.enter();
      while (reader.next()) {
        if (reader.tag === LIST.values) this.#text();
        else reader.skip();
      }
      reader.leave(end);
    }
  };

  #text(): void {
    const reader = this.#reader;
    const end = reader.enter();
    let kind = 0;
    let text = '';
    while (reader.next()) {
      if (kind !== 0 && kind !== reader.tag) throw MALFORMED;
      kind = reader.tag;
      if (reader.tag === VALUE.text) {
        reader.spanBytes();
        text = reader.utf8(reader.from, reader.to);
      } else reader.skip();
    }
    this.#values.push(text);
    reader.leave(end);
  }
}
