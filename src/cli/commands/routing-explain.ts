import { SERVICE_KINDS } from '#domain/ids.ts';
import { isRecord, listOf, numberOf, shown } from '../answer.ts';
import type { Command } from '../command.ts';
import type { Gateway } from '../gateway-client.ts';
import { table } from '../render.ts';

export const routingExplain: Command = {
  name: 'routing explain',
  summary: 'show where the requests of a tenant go now, and which revision, by whom and why, placed it there',
  args: ['TENANT'],
  options: {},
  details: 'A kind without a placement is shown as -, and so is who placed it where that revision is no longer kept.',
  example: 'routing explain acme',
  run: async ({ parsed, gateway }) => {
    const tenant = parsed.args[0] ?? '';
    const api = await gateway();
    const answer = await api.call({ endpoint: 'routing.tenant', path: { tenant } });
    const places = SERVICE_KINDS.map((kind) => [kind, recordAt(answer, kind)] as const);
    const epochs = new Set(places.flatMap(([, place]) => numberOf(place, 'epoch') ?? []));
    const origins = new Map(
      await Promise.all([...epochs].map(async (epoch) => [epoch, await readSummary(api, epoch)] as const)),
    );
    const originOf = (place: unknown) => origins.get(numberOf(place, 'epoch') ?? 0);
    const rows = places.map(([kind, place]) => {
      const endpoints = listOf(place, 'endpoints').map(endpointText);
      return [
        kind,
        shown(place, 'shard'),
        shown(place, 'epoch'),
        ...['at', 'by', 'note'].map((name) => shown(originOf(place), name)),
        endpoints.length === 0 ? '-' : endpoints.join(' '),
      ];
    });
    return {
      json: {
        ...recordAt({ answer }, 'answer'),
        placed_by: Object.fromEntries(places.flatMap(([kind, place]) => jsonOrigin(kind, originOf(place)))),
      },
      text: (paint) =>
        `tenant ${tenant} at revision ${shown(answer, 'revision')}\n` +
        table(['KIND', 'SHARD', 'SINCE', 'AT', 'BY', 'NOTE', 'ENDPOINTS'], rows, paint),
    };
  },
};

/** Who made a revision and why, read without its content; undefined when it is no longer kept. */
async function readSummary(gateway: Gateway, revision: number): Promise<unknown> {
  const query = { limit: '1', cursor: String(revision + 1) };
  const [summary] = listOf(await gateway.call({ endpoint: 'routing.revisions.list', query }), 'items');
  return numberOf(summary, 'revision') === revision ? summary : undefined;
}

const jsonOrigin = (kind: string, origin: unknown): readonly (readonly [string, unknown])[] =>
  origin === undefined ? [] : [[kind, origin]];

const recordAt = (value: unknown, name: string): Readonly<Record<string, unknown>> => {
  const member = isRecord(value) ? value[name] : undefined;
  return isRecord(member) ? member : {};
};

const endpointText = (endpoint: unknown): string =>
  isRecord(endpoint) ? `${shown(endpoint, 'address')}:${shown(endpoint, 'port')}` : String(endpoint);
