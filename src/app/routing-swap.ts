import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { assembleSwap, type Swap } from '#domain/routing/swap/swap.ts';
import {
  parseAuthzSwapFacts,
  parseXdsSwapFacts,
  SWAP_QUESTION,
  type SwapQuestion,
} from '#domain/routing/swap/swap-facts.ts';
import type { ReplicaAnswer, ReplicaBoard, ReplicaRole } from '#ports/replica-board.ts';
import type { RoutingStore } from '#ports/routing.ts';
import { routingStatus } from './routing-status.ts';

export interface SwapRecord extends Swap {
  /** Live replicas that did not answer: what they know is missing here. */
  readonly silent: readonly string[];
}

/**
 * How one kept revision came into force: asked of all replicas, each of which remembers its own part. Fails with
 * `not_found` when the revision is not kept.
 * @throws StoreError
 */
export async function swapRecord(
  ports: { readonly store: Pick<RoutingStore, 'list'>; readonly board: Pick<ReplicaBoard, 'live' | 'ask'> },
  revision: number,
): Promise<Outcome<SwapRecord>> {
  const [summary] = await ports.store.list({ limit: 1, before: revision + 1 });
  if (summary?.revision !== revision) return refuse('not_found', `Revision ${revision} is not kept`);
  const question: SwapQuestion = { revision };
  const answers = await ports.board.ask({ topic: SWAP_QUESTION, body: question });
  const { envoys, replicas } = routingStatus(ports.board);
  const swap = assembleSwap({
    summary,
    envoys,
    xds: factsOf(answers, 'xds', parseXdsSwapFacts),
    authz: factsOf(answers, 'authz', parseAuthzSwapFacts),
  });
  const heard = new Set(answers.map(({ role, replica }) => `${role} ${replica}`));
  const silent = replicas.map(({ role, replica }) => `${role} ${replica}`).filter((name) => !heard.has(name));
  return succeed({ ...swap, silent: silent.sort() });
}

/** An answer that cannot be read is one of another version, and passed over. */
const factsOf = <Facts>(
  answers: readonly ReplicaAnswer[],
  role: ReplicaRole,
  parse: (body: unknown) => Facts | undefined,
): readonly { readonly replica: string; readonly facts: Facts }[] =>
  answers
    .filter((answer) => answer.role === role)
    .flatMap(({ replica, body }) => {
      const facts = parse(body);
      return facts === undefined ? [] : [{ replica, facts }];
    });
