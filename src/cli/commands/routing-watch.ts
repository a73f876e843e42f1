import { isRecord, listOf, numberOf, recordOf, shown, textOf } from '../answer.ts';
import type { Command } from '../command.ts';
import { RefusedError, UnreachableError } from '../failures.ts';
import type { Gateway } from '../gateway-client.ts';
import { clean } from '../render.ts';
import { envoyStates, newestRevision } from './routing-status.ts';

const EVERY_DEFAULT_SECONDS = 1;
/** Revisions told one by one when many came at once; the older ones of them are in `routing list`. */
const REVISIONS_AT_ONCE_MAX_COUNT = 100;

export const routingWatch: Command = {
  name: 'routing watch',
  summary: 'follow revisions, Envoys, quarantine and refused tables until Ctrl-C, one line each',
  args: [],
  options: { every: { value: 'SECONDS', help: `look so often (default ${EVERY_DEFAULT_SECONDS})` } },
  details:
    'Begins with what is now. With --json each line is one JSON object with a member "event". A gateway that does not\n' +
    'answer is told once and waited for.',
  example: 'routing watch --json',
  run: async ({ parsed, terminal, gateway, interrupted, pause }) => {
    const everyMs = (parsed.count('every') ?? EVERY_DEFAULT_SECONDS) * 1_000;
    const signal = interrupted();
    const asJson = parsed.flag('json');
    const api = await gateway();
    const watch = new RoutingWatch(api, (event, line) =>
      terminal.out(asJson ? `${JSON.stringify(event)}\n` : `${clean(line)}\n`),
    );
    while (!signal.aborted) {
      await watch.look();
      await pause(everyMs, signal);
    }
    return undefined;
  },
};

type Tell = (event: Readonly<Record<string, unknown>>, line: string) => void;

/** What was told last, so that each look tells only what is new. */
class RoutingWatch {
  readonly #gateway: Gateway;
  readonly #tell: Tell;
  readonly #envoys = new Map<string, string>();
  readonly #quarantined = new Map<string, string>();
  #head = '';
  #revision: number | undefined;
  #isAway = false;

  constructor(gateway: Gateway, tell: Tell) {
    this.#gateway = gateway;
    this.#tell = tell;
  }

  /** @throws RefusedError when the gateway says no to this caller */
  async look(): Promise<void> {
    try {
      const status = await this.#gateway.call({ endpoint: 'routing.status' });
      if (this.#isAway) this.#tell({ event: 'gateway', state: 'back' }, 'gateway back');
      this.#isAway = false;
      await this.#tellRevisions(newestRevision(status));
      this.#tellEnvoys(status);
      this.#tellQuarantine(status);
      this.#tellHead(status);
    } catch (error) {
      if (!isPassing(error)) throw error;
      const detail = error instanceof Error ? error.message : String(error);
      if (!this.#isAway) this.#tell({ event: 'gateway', state: 'away', detail }, `gateway away: ${detail}`);
      this.#isAway = true;
    }
  }

  async #tellRevisions(newest: number): Promise<void> {
    const told = this.#revision ?? newest - 1;
    if (newest <= told) {
      this.#revision = newest;
      return;
    }
    const limit = String(Math.min(newest - told, REVISIONS_AT_ONCE_MAX_COUNT));
    const query = { limit, cursor: String(newest + 1) };
    const answer = await this.#gateway.call({ endpoint: 'routing.revisions.list', query });
    for (const revision of listOf(answer, 'items').filter(isRecord).toReversed()) {
      const [number, at, by, note] = ['revision', 'at', 'by', 'note'].map((name) => shown(revision, name));
      if ((numberOf(revision, 'revision') ?? 0) <= told) continue;
      this.#tell({ event: 'revision', ...revision }, `revision ${number} at ${at} by ${by}: ${note}`);
    }
    this.#revision = newest;
  }

  #tellEnvoys(status: unknown): void {
    const envoys = envoyStates(status);
    for (const envoy of envoys) {
      const { node, stamp, acked, rejected, behind } = envoy;
      const state = `stamp ${stamp}, acked ${acked}, ${behind ? 'BEHIND' : 'current'}${rejectedText(rejected)}`;
      if (this.#envoys.get(node) === state) continue;
      this.#envoys.set(node, state);
      this.#tell(
        { event: 'envoy', node, stamp: Number(stamp), acked: Number(acked), behind, rejected },
        `envoy ${node}: ${state}`,
      );
    }
    for (const node of this.#envoys.keys()) {
      if (envoys.some((envoy) => envoy.node === node)) continue;
      this.#envoys.delete(node);
      this.#tell({ event: 'envoy', node, state: 'gone' }, `envoy ${node}: gone`);
    }
  }

  #tellQuarantine(status: unknown): void {
    const entries = new Map(
      listOf(status, 'quarantined')
        .filter(isRecord)
        .map((entry) => [`${shown(entry, 'kind')}/${shown(entry, 'shard')}`, entry]),
    );
    for (const [name, entry] of entries) {
      const [pointer, serving, error] = ['pointer', 'serving', 'error'].map((member) => shown(entry, member));
      const state = `${pointer} ${serving} ${error}`;
      if (this.#quarantined.get(name) === state) continue;
      this.#quarantined.set(name, state);
      this.#tell(
        { event: 'quarantined', ...entry },
        `shard ${name}: QUARANTINED, serving ${serving}: ${pointer} ${error}`,
      );
    }
    for (const name of this.#quarantined.keys()) {
      if (entries.has(name)) continue;
      this.#quarantined.delete(name);
      const [kind, shard] = name.split('/');
      this.#tell({ event: 'released', kind, shard }, `shard ${name}: released`);
    }
  }

  /** What came to be of a table put by hand or of the routing file; one that was published is told as a revision. */
  #tellHead(status: unknown): void {
    const head = recordOf(status, 'head');
    const [source, state, at, detail] = ['source', 'state', 'at', 'detail'].map((member) => shown(head, member));
    const told = `${source} ${state} ${at}`;
    if (told === this.#head) return;
    this.#head = told;
    if (state !== 'refused') return;
    const errors = listOf(head, 'errors').filter(isRecord);
    const reasons = errors.map((error) => `${shown(error, 'pointer')} ${shown(error, 'detail')}`).join('; ');
    this.#tell({ event: 'head', ...head }, `head ${source}: REFUSED at ${at}: ${detail}${reasons && `: ${reasons}`}`);
  }
}

/** The last rejection in Envoy's own words: the one that matters now. */
function rejectedText(rejected: readonly unknown[]): string {
  const last = rejected.at(-1);
  return last === undefined
    ? ''
    : `, ${rejected.length} rejected: ${shown(last, 'names')} ${textOf(last, 'error') ?? ''}`;
}

/** Something that time heals: nobody answers, or the gateway says that it cannot now. */
const isPassing = (error: unknown): boolean =>
  error instanceof UnreachableError || (error instanceof RefusedError && error.status >= 500);
