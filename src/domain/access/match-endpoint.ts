import type { EndpointRow } from '../endpoints.ts';

/** The row of the catalogue that a request is for, or which of the two ways it is for none. */
export type EndpointMatch =
  | {
      readonly kind: 'row';
      readonly row: EndpointRow;
      /** Raw (still percent-encoded) path parameters, in the order of the template. */
      readonly values: readonly string[];
      /** The raw parameter that names the row's resource; undefined where no parameter does. */
      readonly resource: string | undefined;
      /** Whether the path is the gRPC method's: natively called or made of the JSON form by the transcoder. */
      readonly grpc: boolean;
    }
  /** `allow`: the methods there are, for the Allow header (RFC 9110, 15.5.6). */
  | { readonly kind: 'method_not_allowed'; readonly allow: string }
  | { readonly kind: 'not_found' }
  | { readonly kind: 'malformed' };

export interface EndpointMatcher {
  /**
   * Finds the row of a request in O(segments of the path).
   * @param path path and query as Envoy gives them; the query plays no part
   */
  match(method: string, path: string): EndpointMatch;
}

interface Leaf {
  readonly rows: Map<string, Entry>;
  refusal: EndpointMatch;
}

interface Entry {
  /** The answer where the template has no parameters. */
  readonly match: Extract<EndpointMatch, { kind: 'row' }>;
  /** Which parameter names the resource, -1 for none. */
  readonly resourceAt: number;
}

interface Node {
  readonly literals: Map<string, Node>;
  parameter: Node | undefined;
  rest: Leaf | undefined;
  leaf: Leaf | undefined;
}

const NOT_FOUND: EndpointMatch = { kind: 'not_found' };
const MALFORMED: EndpointMatch = { kind: 'malformed' };

/**
 * What a path must not hold if everybody on its way is to read the same path: empty and dot segments, encoded slashes,
 * backslashes, NULs and dots, a fragment, a half escape, anything but visible ASCII. Envoy normalises or refuses most
 * of these; what still arrives is refused instead of interpreted (CVE-2019-9901, CVE-2021-29492 and their kind).
 */
const AMBIGUOUS = /\/\/|\/\.\.?(?:\/|$)|\\|#|%(?![0-9A-Fa-f]{2})|%(?:2[EeFf]|5[Cc]|00)|[^\x21-\x7e]/;

/**
 * Compiles the catalogue once. A literal segment beats a parameter at the same place.
 * @throws TypeError when two rows claim one method and path, or a template is none: a bug in the catalogue
 */
export function compileEndpoints(rows: readonly EndpointRow[]): EndpointMatcher {
  const root = newNode();
  for (const row of rows) {
    add(root, row, { template: row.path, method: row.method, grpc: false });
    if (row.grpcPath !== undefined) add(root, row, { template: row.grpcPath, method: 'POST', grpc: true });
  }
  return { match: (method, path) => find(root, method, path) };
}

const newNode = (): Node => ({ literals: new Map(), parameter: undefined, rest: undefined, leaf: undefined });
const newLeaf = (): Leaf => ({ rows: new Map(), refusal: NOT_FOUND });

function add(
  root: Node,
  row: EndpointRow,
  place: { readonly template: string; readonly method: string; readonly grpc: boolean },
): void {
  let node = root;
  let leaf: Leaf | undefined;
  for (const segment of segmentsOf(place.template)) {
    if (leaf !== undefined) throw new TypeError(`${row.id}: nothing may follow the rest of a path`);
    if (/^\{[a-z_]+\.\.\.\}$/.test(segment)) {
      node.rest ??= newLeaf();
      leaf = node.rest;
    } else if (/^\{[a-z_]+\}$/.test(segment)) {
      node.parameter ??= newNode();
      node = node.parameter;
    } else {
      if (!/^[A-Za-z0-9._-]+$/.test(segment))
        throw new TypeError(`${row.id}: "${segment}" is no segment of a template`);
      const next = node.literals.get(segment) ?? newNode();
      node.literals.set(segment, next);
      node = next;
    }
  }
  if (leaf === undefined) {
    node.leaf ??= newLeaf();
    leaf = node.leaf;
  }
  if (leaf.rows.has(place.method)) throw new TypeError(`${row.id}: ${place.method} ${place.template} is taken`);
  const { resource } = row;
  const resourceAt = resource?.from === 'path' ? parameterNames(place.template).indexOf(resource.name) : -1;
  if (resource?.from === 'path' && resourceAt < 0) throw new TypeError(`${row.id}: the path has no {${resource.name}}`);
  const match = { kind: 'row', row, values: [], resource: undefined, grpc: place.grpc } as const;
  leaf.rows.set(place.method, { match, resourceAt });
  leaf.refusal = { kind: 'method_not_allowed', allow: [...leaf.rows.keys()].sort().join(', ') };
}

function segmentsOf(path: string): readonly string[] {
  return path.slice(1).split('/');
}

function find(root: Node, method: string, target: string): EndpointMatch {
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  if (path.charCodeAt(0) !== 0x2f || AMBIGUOUS.test(path)) return MALFORMED;
  const values: string[] = [];
  const leaf = descend(root, path, 1, values);
  if (leaf === undefined) return NOT_FOUND;
  const found = leaf.rows.get(method);
  if (found === undefined) return leaf.refusal;
  if (values.length === 0) return found.match;
  if (path.includes('%') && values.some((value) => decodeParameter(value) === undefined)) return MALFORMED;
  return { ...found.match, values, resource: values[found.resourceAt] };
}

/** The leaf for what begins at `from`; parameters met on the way are left in `values`. Depth is that of the tree. */
function descend(node: Node, path: string, from: number, values: string[]): Leaf | undefined {
  const slash = path.indexOf('/', from);
  const segment = slash < 0 ? path.slice(from) : path.slice(from, slash);
  const literal = node.literals.get(segment);
  const found = literal && continueAt(literal, path, slash, values);
  if (found !== undefined) return found;
  if (node.parameter !== undefined && segment !== '') {
    const length = values.push(segment);
    const below = continueAt(node.parameter, path, slash, values);
    if (below !== undefined) return below;
    values.length = length - 1;
  }
  if (node.rest !== undefined) values.push(path.slice(from));
  return node.rest;
}

function continueAt(node: Node, path: string, slash: number, values: string[]): Leaf | undefined {
  return slash < 0 ? node.leaf : descend(node, path, slash + 1, values);
}

const PARAMETER = /\{([a-z_]+)(?:\.\.\.)?\}/g;

/** Names of a template's parameters, in the order of {@link EndpointMatch} values. */
export const parameterNames = (template: string): readonly string[] =>
  [...template.matchAll(PARAMETER)].map((match) => match[1] ?? '');

/**
 * A path parameter as the text it stands for, or undefined when its escapes are not strict UTF-8 (RFC 3629: no
 * overlong forms) or hide a control character. Only for comparing with rights: what is sent on stays as it came.
 */
export function decodeParameter(raw: string): string | undefined {
  if (!raw.includes('%')) return raw;
  try {
    const text = decodeURIComponent(raw);
    return /\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
