/**
 * One regular expression (RE2) for a set of path templates, factored like a tree so that common beginnings stand once:
 * `/v1/auth/signin` and `/v1/auth/me` become `/v1/auth/(?:me|signin)`. Matches whole paths without their query.
 */
export const pathRegex = (templates: readonly string[]): string => build(templates, '[^/]+');

/** The same where a parameter holds no escape of a byte beyond ASCII. */
export const asciiPathRegex = (templates: readonly string[]): string =>
  build(templates, '(?:[^/?%]|%[0-7][0-9A-Fa-f])+');

interface Node {
  readonly children: Map<string, Node>;
  ends: boolean;
}

const REST = /^\{[a-z_]+\.\.\.\}$/;
const PARAMETER = /^\{[a-z_]+\}$/;

function build(templates: readonly string[], parameter: string): string {
  const root: Node = { children: new Map(), ends: false };
  for (const template of templates) {
    let node = root;
    for (const segment of template.slice(1).split('/')) {
      const key = segmentRegex(segment, parameter);
      const next = node.children.get(key) ?? { children: new Map(), ends: false };
      node.children.set(key, next);
      node = next;
    }
    node.ends = true;
  }
  return below(root);
}

const segmentRegex = (segment: string, parameter: string): string => {
  if (REST.test(segment)) return '.*';
  return PARAMETER.test(segment) ? parameter : segment.replaceAll('.', '\\.');
};

/** What may follow a node: a slash and one of its children, or nothing where a template ends. */
function below(node: Node): string {
  if (node.children.size === 0) return '';
  const branches = [...node.children].map(([segment, child]) => `${segment}${below(child)}`).toSorted();
  const joined = branches.length === 1 ? (branches[0] ?? '') : `(?:${branches.join('|')})`;
  return node.ends ? `(?:/${joined})?` : `/${joined}`;
}
