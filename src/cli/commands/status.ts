import { readFile } from 'node:fs/promises';
import { isRecord, listOf, shown, textOf } from '../answer.ts';
import type { Command } from '../command.ts';
import { RefusedError } from '../failures.ts';
import type { Gateway } from '../gateway-client.ts';
import { fields, type Paint } from '../render.ts';

export const status: Command = {
  name: 'status',
  summary: 'show whether the gateway is alive and ready to decide and route',
  args: [],
  options: {},
  details: 'Exit code 0 when it is ready, 1 when it is not.',
  example: 'status',
  run: async ({ gateway }) => {
    const api = await gateway();
    const [health, ready] = [await ask(api, 'health'), await ask(api, 'ready')];
    return {
      json: { url: api.url, alive: health.ok, ready: ready.ok, health: health.body, readiness: ready.body },
      text: (paint) =>
        fields([['gateway', api.url]], paint) +
        `${paint.strong('alive')}    ${yesNo(health.ok, paint)}\n` +
        `${paint.strong('ready')}    ${yesNo(ready.ok, paint)}\n` +
        conditions(ready.body, paint),
      exitCode: health.ok && ready.ok ? 0 : 1,
    };
  },
};

export const version: Command = {
  name: 'version',
  summary: 'show the version of gatewayctl',
  args: [],
  options: {},
  example: 'version',
  run: async () => {
    const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
    const facts: unknown = JSON.parse(text);
    const json = { version: textOf(facts, 'version') ?? 'unknown', node: process.versions.node };
    return { json, text: () => `gatewayctl ${json.version} (Node ${json.node})\n` };
  },
};

/** A refusal is an answer here: `/ready` says with 503 which condition fails. */
async function ask(api: Gateway, endpoint: string): Promise<{ readonly ok: boolean; readonly body: unknown }> {
  try {
    return { ok: true, body: await api.call({ endpoint }) };
  } catch (error) {
    if (error instanceof RefusedError) return { ok: false, body: error.problem };
    throw error;
  }
}

const yesNo = (yes: boolean, paint: Paint): string => (yes ? paint.good('yes') : paint.bad('no'));

/** The conditions that the body of `/ready` names, each with its reason. */
function conditions(body: unknown, paint: Paint): string {
  const rows = listOf(body, 'conditions')
    .filter(isRecord)
    .map((condition) => {
      const detail = textOf(condition, 'detail');
      const state = condition['ok'] === true ? 'ok' : 'NOT OK';
      return [`  ${shown(condition, 'name')}`, detail === undefined ? state : `${state} (${detail})`] as const;
    });
  return fields(rows, paint);
}
