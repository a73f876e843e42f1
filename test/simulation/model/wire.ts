import { lengthDelimited } from '../../../xds/snapshot/protobuf-frames.ts';
import type { Resource } from '../../../xds/snapshot/resource.ts';
import { type ResourceType, resourceTypeOf } from '../../../xds/snapshot/resource-types.ts';

/** A response as a client reads it. In the simulation the version of a resource is its content. */
export interface WireResponse {
  readonly type: ResourceType;
  readonly nonce: string;
  readonly resources: readonly { readonly name: string; readonly version: string }[];
  readonly removed: readonly string[];
}

/** A resource of the least that a stream needs: a name, and a text as version and content at once. */
export const plainResource = (name: string, version: string): Resource => ({
  name,
  version,
  frame: lengthDelimited(2, Buffer.from(`${name} ${version}`)),
});

/** Reads a DeltaDiscoveryResponse of plain resources by its field numbers. */
export function readResponse(bytes: Buffer): WireResponse {
  const resources: { readonly name: string; readonly version: string }[] = [];
  const removed: string[] = [];
  let type: ResourceType | undefined;
  let nonce = '';
  let position = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[position] ?? 0;
      position += 1;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (position < bytes.length) {
    const field = varint() >> 3;
    const end = varint() + position;
    const text = bytes.toString('latin1', position, end);
    position = end;
    if (field === 2) {
      const space = text.indexOf(' ');
      resources.push({ name: text.slice(0, space), version: text.slice(space + 1) });
    } else if (field === 4) type = resourceTypeOf(text);
    else if (field === 5) nonce = text;
    else if (field === 6) removed.push(text);
    else throw new Error(`an unexpected field ${field}`);
  }
  if (type === undefined) throw new Error('a response without a known type');
  return { type, nonce, resources, removed };
}
