import type { NamedJson } from './control-plane.ts';
import type { MessageEncoder } from './encode.ts';
import { encodeResource, type Resource, stampPrefix } from './snapshot/resource.ts';

/** Stands for one digit of a stamp; nothing else in a route configuration may have it. */
const PLACEHOLDER = '~';

interface Template {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly offsets: readonly number[];
}

/**
 * Makes the route configuration of a stamp. Two of them differ in nothing but the digits, and a move must not wait for
 * a whole encoding with all its checks: that is done once per number of digits, then the digits are written into a copy
 * (lengths, and so everything around them, stay as they are).
 */
export function createRouteStamper(options: {
  /** The route configuration with a text in the place of the stamp. */
  readonly translateRoutes: (stamp: string) => NamedJson;
  readonly encode: MessageEncoder;
}): (stamp: number) => Resource {
  const templates = new Map<number, Template>();
  const templateFor = (length: number): Template => {
    const known = templates.get(length);
    if (known !== undefined) return known;
    const template = makeTemplate(length, options);
    templates.set(length, template);
    return template;
  };
  return (stamp) => {
    const digits = Buffer.from(String(stamp), 'latin1');
    const { name, bytes, offsets } = templateFor(digits.length);
    const message = Buffer.from(bytes);
    for (const offset of offsets) digits.copy(message, offset);
    return encodeResource({ type: 'route', name, message, versionPrefix: stampPrefix(stamp) });
  };
}

function makeTemplate(length: number, { translateRoutes, encode }: Parameters<typeof createRouteStamper>[0]): Template {
  if (JSON.stringify(translateRoutes('').json).includes(PLACEHOLDER)) {
    throw new Error(`a route configuration with "${PLACEHOLDER}" in it: its stamps cannot be told from the rest`);
  }
  const mark = PLACEHOLDER.repeat(length);
  const resource = translateRoutes(mark);
  const bytes = encode('route', resource);
  const offsets = occurrences(Buffer.from(bytes), mark);
  return { name: resource.name, bytes, offsets };
}

function occurrences(bytes: Buffer, mark: string): readonly number[] {
  const offsets: number[] = [];
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + mark.length)) offsets.push(at);
  return offsets;
}
