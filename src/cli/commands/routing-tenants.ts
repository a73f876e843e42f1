import { SERVICE_KINDS } from '#domain/ids.ts';
import { isRecord, listOf, shown } from '../answer.ts';
import type { Command } from '../command.ts';
import { type Paint, table } from '../render.ts';

export const routingExplain: Command = {
  name: 'routing explain',
  summary: 'show where the requests of a tenant go now, and since which revision',
  args: ['TENANT'],
  options: {},
  example: 'routing explain acme',
  run: async ({ parsed, gateway }) => {
    const tenant = parsed.args[0] ?? '';
    const api = await gateway();
    const answer = await api.call({ endpoint: 'routing.tenant', path: { tenant } });
    const rows = SERVICE_KINDS.map((kind) => {
      const place = isRecord(answer) && isRecord(answer[kind]) ? answer[kind] : {};
      const endpoints = listOf(place, 'endpoints').map(endpointText);
      return [kind, shown(place, 'shard'), shown(place, 'epoch'), endpoints.length === 0 ? '-' : endpoints.join(' ')];
    });
    return {
      json: answer,
      text: (paint) =>
        `tenant ${tenant} at revision ${shown(answer, 'revision')}\n` +
        table(['KIND', 'SHARD', 'SINCE', 'ENDPOINTS'], rows, paint),
    };
  },
};

export const routingStatus: Command = {
  name: 'routing status',
  summary: 'show what each Envoy routes by, what it refused, and which replicas are alive',
  args: [],
  options: {},
  example: 'routing status',
  run: async ({ gateway }) => {
    const api = await gateway();
    const answer = await api.call({ endpoint: 'routing.status' });
    return { json: answer, text: (paint) => statusText(answer, paint) };
  },
};

function statusText(answer: unknown, paint: Paint): string {
  const envoys = listOf(answer, 'envoys').filter(isRecord);
  const rejected = envoys.flatMap((envoy) =>
    listOf(envoy, 'rejected')
      .filter(isRecord)
      .map((entry) => [shown(envoy, 'node'), ...['type', 'at', 'names', 'error'].map((name) => shown(entry, name))]),
  );
  const envoyRows = envoys.map((envoy) => [
    shown(envoy, 'node'),
    shown(envoy, 'stamp'),
    shown(envoy, 'acked'),
    String(listOf(envoy, 'rejected').length),
  ]);
  const replicas = listOf(answer, 'replicas')
    .filter(isRecord)
    .map((replica) => [shown(replica, 'role'), shown(replica, 'replica'), shown(replica, 'routing_revision')]);
  return [
    table(['ENVOY', 'STAMP', 'ACKED', 'REJECTED'], envoyRows, paint),
    table(['ROLE', 'REPLICA', 'REVISION'], replicas, paint),
    ...(rejected.length === 0 ? [] : [table(['ENVOY', 'REFUSED TYPE', 'AT', 'NAMES', 'ERROR'], rejected, paint)]),
  ].join('\n');
}

const endpointText = (endpoint: unknown): string =>
  isRecord(endpoint) ? `${shown(endpoint, 'address')}:${shown(endpoint, 'port')}` : String(endpoint);
