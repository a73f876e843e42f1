import type { RevisionNote } from '../types.ts';
import type { AuthzSwapFacts, SwapRejection, XdsSwapFacts } from './swap-facts.ts';

/** What is known of one revision coming into force, put together from what each replica remembers. Times are in ms. */
export interface Swap extends Omit<RevisionNote, 'at'> {
  readonly revision: number;
  readonly publishedAtMs: number;
  /** Whether every Envoy that is connected now routes by this revision or a newer one; false while there is none. */
  readonly complete: boolean;
  /**
   * When the last of them acknowledged; absent while not complete, and where one acknowledged unseen. Envoys that came
   * later and never were without it do not count.
   */
  readonly completedAtMs?: number;
  readonly envoys: readonly EnvoySwap[];
  readonly xds: readonly XdsSwap[];
  readonly authz: readonly AuthzSwap[];
  /** Over all authz replicas that remember. */
  readonly firstDecidedAtMs?: number;
  readonly lastDecidedAtMs?: number;
  readonly requests: number;
}

interface EnvoySwap {
  readonly node: string;
  readonly live: boolean;
  /** Whether it routes by this revision or a newer one. */
  readonly serving: boolean;
  readonly sentAtMs?: number;
  readonly ackedAtMs?: number;
  /** The stamp that brought it, where several revisions went in one. */
  readonly stamp?: number;
  readonly rejected: readonly SwapRejection[];
}

interface XdsSwap {
  readonly replica: string;
  readonly loadedAtMs?: number;
  readonly stampedAtMs?: number;
}

interface AuthzSwap {
  readonly replica: string;
  readonly heldAtMs?: number;
  readonly firstDecidedAtMs?: number;
  readonly lastDecidedAtMs?: number;
  readonly requests: number;
}

export interface SwapInputs {
  readonly summary: RevisionNote & { readonly revision: number };
  /** The Envoys connected now and the newest stamp that each acknowledged. */
  readonly envoys: readonly { readonly node: string; readonly acked: number; readonly connectedAt: string }[];
  readonly xds: readonly { readonly replica: string; readonly facts: XdsSwapFacts }[];
  readonly authz: readonly { readonly replica: string; readonly facts: AuthzSwapFacts }[];
}

/**
 * The record of one revision. A replica that began to remember after the revision was published saw neither its
 * arrival nor its first acknowledgements, only that it stands: its times of those are left out.
 */
export function assembleSwap(inputs: SwapInputs): Swap {
  const { at, by, note, revision } = inputs.summary;
  const publishedAtMs = Date.parse(at);
  const envoys = envoySwaps(inputs, publishedAtMs);
  const live = envoys.filter((envoy) => envoy.live);
  const complete = live.length > 0 && live.every((envoy) => envoy.serving);
  const ackedAtMs = live.map((envoy) => envoy.ackedAtMs).filter((atMs) => atMs !== undefined);
  const unseen = live.filter((envoy) => envoy.ackedAtMs === undefined).map(({ node }) => node);
  const isTimed = complete && ackedAtMs.length > 0 && unseen.every((node) => joinedLater(inputs, node, publishedAtMs));
  const authz = inputs.authz.map(({ replica, facts }) => authzSwap(replica, facts, publishedAtMs)).sort(byReplica);
  return {
    ...{ revision, publishedAtMs, by, note, complete },
    ...(isTimed ? { completedAtMs: Math.max(...ackedAtMs) } : {}),
    envoys,
    xds: inputs.xds.map(({ replica, facts }) => xdsSwap(replica, facts, publishedAtMs)).sort(byReplica),
    authz,
    ...span(authz),
    requests: authz.reduce((sum, { requests }) => sum + requests, 0),
  };
}

/** One line per Envoy, also where it went from one xds replica to another meanwhile: the first acknowledgement counts. */
function envoySwaps({ summary, envoys, xds }: SwapInputs, publishedAtMs: number): readonly EnvoySwap[] {
  const nodes = new Map<string, EnvoySwap>();
  for (const { node, acked } of envoys) {
    const serving = acked >= summary.revision || nodes.get(node)?.serving === true;
    nodes.set(node, { node, live: true, serving, rejected: [] });
  }
  for (const { facts } of xds) {
    const sawIt = facts.sinceMs <= publishedAtMs;
    for (const { node, sent, acked, rejected } of facts.envoys) {
      const known = nodes.get(node) ?? { node, live: false, serving: false, rejected: [] };
      const isFirst = sawIt && acked !== undefined && acked.atMs < (known.ackedAtMs ?? Number.POSITIVE_INFINITY);
      const isFirstSent = sawIt && sent !== undefined && sent.atMs < (known.sentAtMs ?? Number.POSITIVE_INFINITY);
      nodes.set(node, {
        ...known,
        ...(isFirstSent ? { sentAtMs: sent.atMs } : {}),
        ...(isFirst ? { ackedAtMs: acked.atMs, stamp: acked.revision } : {}),
        serving: known.serving || acked !== undefined,
        rejected: [...known.rejected, ...rejected].sort((left, right) => left.atMs - right.atMs),
      });
    }
  }
  return [...nodes.values()].sort((left, right) => (left.node < right.node ? -1 : 1));
}

/** Whether an Envoy came only when the revision was published already: it was never to be waited for. */
const joinedLater = ({ envoys }: SwapInputs, node: string, publishedAtMs: number): boolean =>
  envoys.every((envoy) => envoy.node !== node || Date.parse(envoy.connectedAt) > publishedAtMs);

const xdsSwap = (replica: string, facts: XdsSwapFacts, publishedAtMs: number): XdsSwap => ({
  replica,
  ...(facts.loaded === undefined || facts.sinceMs > publishedAtMs ? {} : { loadedAtMs: facts.loaded.atMs }),
  ...(facts.stamped === undefined || facts.sinceMs > publishedAtMs ? {} : { stampedAtMs: facts.stamped.atMs }),
});

const authzSwap = (replica: string, facts: AuthzSwapFacts, publishedAtMs: number): AuthzSwap => ({
  replica,
  ...(facts.held === undefined || facts.sinceMs > publishedAtMs ? {} : { heldAtMs: facts.held.atMs }),
  ...(facts.decided === undefined
    ? {}
    : { firstDecidedAtMs: facts.decided.firstAtMs, lastDecidedAtMs: facts.decided.lastAtMs }),
  requests: facts.decided?.count ?? 0,
});

function span(authz: readonly AuthzSwap[]): Pick<Swap, 'firstDecidedAtMs' | 'lastDecidedAtMs'> {
  const first = authz.map(({ firstDecidedAtMs }) => firstDecidedAtMs).filter((atMs) => atMs !== undefined);
  const last = authz.map(({ lastDecidedAtMs }) => lastDecidedAtMs).filter((atMs) => atMs !== undefined);
  return first.length === 0 ? {} : { firstDecidedAtMs: Math.min(...first), lastDecidedAtMs: Math.max(...last) };
}

const byReplica = (left: { readonly replica: string }, right: { readonly replica: string }): number =>
  left.replica < right.replica ? -1 : 1;
