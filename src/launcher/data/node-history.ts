import { readFile } from 'node:fs/promises';
import { replaceFile } from '#platform/replace-file.ts';

/** Which node had which loopback port, newest last. */
export type NodeHistory = readonly (readonly [port: number, node: string])[];

const ENTRIES_MAX_COUNT = 200;

/**
 * Remembers the nodes' ports of every start, so that a routing document of any earlier one can be told apart from
 * addresses that somebody else put there. Written before the document changes: a start that is cut short between the
 * two is repaired by the next.
 */
export async function recordNodePorts(file: string, current: NodeHistory): Promise<NodeHistory> {
  const known = await readHistory(file);
  const last = new Map(known);
  if (current.every(([port, node]) => last.get(port) === node)) return known;
  const history = [...known, ...current].slice(-ENTRIES_MAX_COUNT);
  await replaceFile(file, `${JSON.stringify(history)}\n`);
  return history;
}

async function readHistory(file: string): Promise<NodeHistory> {
  const text = await readFile(file, 'utf8').catch(() => '[]');
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed.filter(isEntry) : [];
  } catch {
    return [];
  }
}

const isEntry = (value: unknown): value is [number, string] =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'number' && typeof value[1] === 'string';
