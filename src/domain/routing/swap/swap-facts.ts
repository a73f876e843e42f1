import { isJsonObject, type JsonObject } from '../mistakes.ts';
import type { RevisionTime } from './revision-times.ts';

/** What replicas are asked about one revision, and what each answers from its memory. */

/** The name of the question; replicas of another version that do not know it do not answer. */
export const SWAP_QUESTION = 'routing.swap';

export interface SwapQuestion {
  readonly revision: number;
}

/** What an xds replica knows. Times are its own clock's, in milliseconds since 1970. */
export interface XdsSwapFacts {
  /** When this process began to remember. */
  readonly sinceMs: number;
  /** When it had the revision, or the next newer one, complete. */
  readonly loaded?: RevisionTime;
  /** When it first permitted a stamp of this revision or the next newer one. */
  readonly stamped?: RevisionTime;
  readonly envoys: readonly EnvoySwapFacts[];
}

interface EnvoySwapFacts {
  readonly node: string;
  /** The first stamp, of this revision or a newer one, that the Envoy was told. */
  readonly sent?: RevisionTime;
  /** The first stamp, of this revision or a newer one, that the Envoy acknowledged. */
  readonly acked?: RevisionTime;
  /** What it rejected from when the revision was loaded until it acknowledged that stamp. */
  readonly rejected: readonly SwapRejection[];
}

export interface SwapRejection {
  readonly type: string;
  readonly names: readonly string[];
  readonly error: string;
  readonly atMs: number;
}

/** What an authz replica knows. */
export interface AuthzSwapFacts {
  readonly sinceMs: number;
  /** When it could decide by the revision, or by the next newer one. */
  readonly held?: RevisionTime;
  /** The requests it decided by exactly this revision. */
  readonly decided?: { readonly firstAtMs: number; readonly lastAtMs: number; readonly count: number };
}

/** Reads the question; undefined when it is none. */
export function parseSwapQuestion(value: unknown): SwapQuestion | undefined {
  const revision = isJsonObject(value) ? value['revision'] : undefined;
  return isNumber(revision) ? { revision } : undefined;
}

/** Reads an xds replica's answer; undefined when it is none. */
export function parseXdsSwapFacts(value: unknown): XdsSwapFacts | undefined {
  if (!isJsonObject(value) || !isNumber(value['sinceMs']) || !Array.isArray(value['envoys'])) return undefined;
  return {
    sinceMs: value['sinceMs'],
    ...timeIn(value, 'loaded'),
    ...timeIn(value, 'stamped'),
    envoys: value['envoys'].map(parseEnvoy).filter((envoy) => envoy !== undefined),
  };
}

/** Reads an authz replica's answer; undefined when it is none. */
export function parseAuthzSwapFacts(value: unknown): AuthzSwapFacts | undefined {
  if (!isJsonObject(value) || !isNumber(value['sinceMs'])) return undefined;
  const decided = value['decided'];
  const { firstAtMs, lastAtMs, count } = isJsonObject(decided) ? decided : {};
  const known = isNumber(firstAtMs) && isNumber(lastAtMs) && isNumber(count);
  return {
    sinceMs: value['sinceMs'],
    ...timeIn(value, 'held'),
    ...(known ? { decided: { firstAtMs, lastAtMs, count } } : {}),
  };
}

function parseEnvoy(value: unknown): EnvoySwapFacts | undefined {
  if (!isJsonObject(value) || typeof value['node'] !== 'string' || !Array.isArray(value['rejected'])) return undefined;
  return {
    node: value['node'],
    ...timeIn(value, 'sent'),
    ...timeIn(value, 'acked'),
    rejected: value['rejected'].map(parseRejection).filter((rejection) => rejection !== undefined),
  };
}

function parseRejection(value: unknown): SwapRejection | undefined {
  if (!isJsonObject(value)) return undefined;
  const { type, names, error, atMs } = value;
  if (typeof type !== 'string' || typeof error !== 'string' || !isNumber(atMs) || !Array.isArray(names)) {
    return undefined;
  }
  return { type, error, atMs, names: names.map(String) };
}

/** The member as a time, under its own name; nothing when it is absent or something else. */
function timeIn<Name extends string>(object: JsonObject, name: Name): { readonly [Member in Name]?: RevisionTime } {
  const time = object[name];
  if (!isJsonObject(time) || !isNumber(time['revision']) || !isNumber(time['atMs'])) return {};
  const found: { [Member in Name]?: RevisionTime } = {};
  found[name] = { revision: time['revision'], atMs: time['atMs'] };
  return found;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
