import { findTool, TOOLS, type ToolName } from '../../scripts/lib/tools.mjs';

const found = new Map<ToolName, string>();

/**
 * Path of a pinned server, by the rules of `npm start`: its environment variable, PATH, the tool cache. Tests never
 * fetch; `npm test` has done that.
 * @throws Error that says how to get it
 */
export function toolPath(name: ToolName): string {
  const known = found.get(name);
  if (known !== undefined) return known;
  const path = findTool(name);
  if (path === undefined) {
    throw new Error(`${TOOLS[name].title} ${TOOLS[name].version} is missing: run "npm test" once, it fetches it`);
  }
  found.set(name, path);
  return path;
}
