import { createHash } from 'node:crypto';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { lengthDelimited, stringField } from './protobuf-frames.ts';
import { type ResourceType, TYPE_URL } from './resource-types.ts';

/**
 * One Envoy resource, encoded once and shared by all streams. `frame` is the complete `resources` field of a
 * DeltaDiscoveryResponse, so that answering is concatenation.
 */
export interface Resource {
  readonly name: string;
  /** Hash of the content: equal on every replica and after every restart. */
  readonly version: string;
  readonly frame: Buffer;
}

const VERSION_HEX_CHARS = 16;
/** Field numbers of envoy.service.discovery.v3.Resource and DeltaDiscoveryResponse, and of google.protobuf.Any. */
const RESOURCE = { version: 1, resource: 2, name: 3 } as const;
const ANY = { typeUrl: 1, value: 2 } as const;
const RESPONSE_RESOURCES = 2;

/** @param versionPrefix put before the hash where a version must say more than what it is a version of */
export function encodeResource(options: {
  readonly type: ResourceType;
  readonly name: string;
  readonly message: Uint8Array;
  readonly versionPrefix?: string;
}): Resource {
  const { type, name, message } = options;
  const hash = createHash('sha256').update(message).digest('hex').slice(0, VERSION_HEX_CHARS);
  const version = `${options.versionPrefix ?? ''}${hash}`;
  const any = Buffer.concat([stringField(ANY.typeUrl, TYPE_URL[type]), lengthDelimited(ANY.value, message)]);
  const resource = Buffer.concat([
    stringField(RESOURCE.version, version),
    lengthDelimited(RESOURCE.resource, any),
    stringField(RESOURCE.name, name),
  ]);
  return { name, version, frame: lengthDelimited(RESPONSE_RESOURCES, resource) };
}

/** The version prefix of a route configuration stamped with a routing revision. */
export const stampPrefix = (stamp: number): string => `${stamp}-`;

/** Less than any stamp: revision 0 is the empty routing of a gateway that was given none yet. */
export const NO_STAMP = -1;

/** The stamp that a route configuration's version tells of, `NO_STAMP` when it tells of none. */
export function stampOfVersion(version: string | undefined): number {
  const stamp = /^(0|[1-9][0-9]{0,14})-/.exec(version ?? '')?.[1];
  return stamp === undefined ? NO_STAMP : Number(stamp);
}

/** The resource as a google.protobuf.Any, out of its ready frame. @throws Error when the frame is damaged */
export function packedOf({ frame }: Pick<Resource, 'frame'>): Uint8Array {
  const outer = new BinaryReader(frame);
  outer.tag();
  const reader = new BinaryReader(outer.bytes());
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === RESOURCE.resource) return reader.bytes();
    reader.skip(wireType, field);
  }
  throw new Error('a frame without a resource');
}
