import { isRecord, listOf, numberOf, recordOf, shown } from '../answer.ts';
import type { Command } from '../command.ts';
import { type Paint, table } from '../render.ts';

export const routingStatus: Command = {
  name: 'routing status',
  summary: 'show what each Envoy routes by, what is refused or quarantined, and which replicas are alive',
  args: [],
  options: {},
  details:
    'Exit code 1 when an Envoy is behind the newest revision of the replicas or has refused something, a shard is\n' +
    'quarantined, or a table put into head by hand (or the routing file) was refused and nothing was published since.',
  example: 'routing status',
  run: async ({ gateway }) => {
    const api = await gateway();
    const answer = await api.call({ endpoint: 'routing.status' });
    const envoysWell = envoyStates(answer).every((envoy) => !envoy.behind && envoy.rejected.length === 0);
    const well = envoysWell && listOf(answer, 'quarantined').length === 0 && refusedHead(answer) === undefined;
    return { json: answer, text: (paint) => statusText(answer, paint), exitCode: well ? 0 : 1 };
  },
};

/** What the status says of one Envoy. */
export interface EnvoyLine {
  readonly node: string;
  readonly stamp: string;
  readonly acked: string;
  readonly rejected: readonly unknown[];
  /** Whether it routes by an older revision than the newest that a replica holds. */
  readonly behind: boolean;
}

/** The newest revision that some replica holds, 0 for none. */
export const newestRevision = (answer: unknown): number =>
  Math.max(0, ...listOf(answer, 'replicas').map((replica) => numberOf(replica, 'routing_revision') ?? 0));

export function envoyStates(answer: unknown): readonly EnvoyLine[] {
  const newest = newestRevision(answer);
  return listOf(answer, 'envoys')
    .filter(isRecord)
    .map((envoy) => ({
      node: shown(envoy, 'node'),
      stamp: shown(envoy, 'stamp'),
      acked: shown(envoy, 'acked'),
      rejected: listOf(envoy, 'rejected'),
      behind: (numberOf(envoy, 'acked') ?? 0) < newest,
    }));
}

/** The refusal of a table put into `head` by hand or of the routing file, unless a revision was published since. */
function refusedHead(answer: unknown): Readonly<Record<string, unknown>> | undefined {
  const head = recordOf(answer, 'head');
  if (head['state'] !== 'refused') return undefined;
  return (numberOf(head, 'revision') ?? Number.POSITIVE_INFINITY) < newestRevision(answer) ? undefined : head;
}

function statusText(answer: unknown, paint: Paint): string {
  const envoys = envoyStates(answer);
  const rejected = envoys.flatMap((envoy) =>
    envoy.rejected
      .filter(isRecord)
      .map((entry) => [envoy.node, ...['type', 'at', 'names', 'error'].map((name) => shown(entry, name))]),
  );
  const envoyRows = envoys.map((envoy) => [
    envoy.node,
    envoy.stamp,
    envoy.acked,
    String(envoy.rejected.length),
    envoy.behind ? 'BEHIND' : 'current',
  ]);
  const replicas = listOf(answer, 'replicas')
    .filter(isRecord)
    .map((replica) => [shown(replica, 'role'), shown(replica, 'replica'), shown(replica, 'routing_revision')]);
  const quarantined = listOf(answer, 'quarantined')
    .filter(isRecord)
    .map((entry) => ['pointer', 'since_revision', 'serving', 'at', 'error'].map((name) => shown(entry, name)));
  const refused = refusedHead(answer);
  return [
    table(['ENVOY', 'STAMP', 'ACKED', 'REJECTED', 'STATE'], envoyRows, paint),
    table(['ROLE', 'REPLICA', 'REVISION'], replicas, paint),
    ...(quarantined.length === 0
      ? []
      : [table(['QUARANTINED', 'SINCE', 'SERVING', 'AT', 'ERROR'], quarantined, paint)]),
    ...(refused === undefined ? [] : [refusedHeadText(refused, paint)]),
    ...(rejected.length === 0 ? [] : [table(['ENVOY', 'REFUSED TYPE', 'AT', 'NAMES', 'ERROR'], rejected, paint)]),
  ].join('\n');
}

function refusedHeadText(head: Readonly<Record<string, unknown>>, paint: Paint): string {
  const columns = ['source', 'at', 'detail'].map((name) => shown(head, name));
  const errors = listOf(head, 'errors').filter(isRecord);
  return [
    table(['REFUSED', 'AT', 'DETAIL'], [columns], paint),
    ...errors.map((error) => `  ${shown(error, 'pointer')} ${shown(error, 'detail')}\n`),
  ].join('');
}
