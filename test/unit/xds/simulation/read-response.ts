import { BinaryReader } from '@bufbuild/protobuf/wire';

/** A DeltaDiscoveryResponse as a client reads it; resources by name with their version and the text they hold. */
export interface ReadResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly { readonly name: string; readonly version: string; readonly content: Uint8Array }[];
  readonly removed: readonly string[];
}

/** Reads the wire format by its field numbers, apart from the code that writes it. */
export function readResponse(bytes: Uint8Array): ReadResponse {
  const fields = readFields(bytes);
  return {
    typeUrl: text(fields, 4),
    nonce: text(fields, 5),
    removed: (fields.get(6) ?? []).map((value) => Buffer.from(value).toString('utf8')),
    resources: (fields.get(2) ?? []).map((value) => {
      const resource = readFields(value);
      const any = readFields(resource.get(2)?.[0] ?? new Uint8Array());
      return { name: text(resource, 3), version: text(resource, 1), content: any.get(2)?.[0] ?? new Uint8Array() };
    }),
  };
}

function readFields(bytes: Uint8Array): ReadonlyMap<number, readonly Uint8Array[]> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Uint8Array[]>();
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType !== 2) throw new Error(`field ${field} has wire type ${wireType}`);
    fields.set(field, [...(fields.get(field) ?? []), reader.bytes()]);
  }
  return fields;
}

const text = (fields: ReadonlyMap<number, readonly Uint8Array[]>, field: number): string =>
  Buffer.from(fields.get(field)?.[0] ?? new Uint8Array()).toString('utf8');
