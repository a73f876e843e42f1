import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { BUILT_IN_ROLES } from '#domain/access/roles.ts';
import { judge, type Question, type World } from '../support/access-oracle.ts';
import { answerOf, indexOf, questionOf, rowOf } from '../support/access-world.ts';

interface ScenarioRequest {
  readonly as?: string;
  readonly token?: 'good' | 'invalid' | 'expired';
  readonly session?: string;
  readonly issuedAt?: number;
  readonly endpoint: string;
  readonly tenant?: string;
  readonly tenants?: readonly string[];
  readonly resource?: string;
  readonly message?: Question['message'];
  readonly ids?: Question['ids'];
  readonly shard?: string;
  readonly shards?: Question['shards'];
  readonly want: string;
}
interface Scenario {
  readonly world: World;
  readonly requests: readonly ScenarioRequest[];
}

const MEMBERS = [
  ...['as', 'token', 'session', 'issuedAt', 'endpoint'],
  ...['tenant', 'tenants', 'resource', 'message', 'ids', 'shard', 'shards', 'want'],
];
const BUILT_IN = Object.fromEntries(
  BUILT_IN_ROLES.map((role) => [role.id, role.rights.map(({ action, resource }) => `${action} on ${resource}`)]),
);

/** A misspelt member would make a scenario say something else than it seems to. */
function parseScenario(text: string): Scenario {
  const { world, requests } = parse(text) as Scenario;
  for (const request of requests) {
    const unknown = Object.keys(request).filter((member) => !MEMBERS.includes(member));
    if (unknown.length > 0) throw new Error(`unknown members ${unknown.join(', ')}`);
  }
  return { world: { ...world, roles: { ...world.roles, ...BUILT_IN } }, requests };
}

function toQuestion(request: ScenarioRequest): Question {
  const { as: user, token: state = 'good', session = 'ses_1', issuedAt = 1_000 } = request;
  return questionOf(rowOf(request.endpoint), {
    tenants: request.tenants ?? (request.tenant === undefined ? [] : [request.tenant]),
    ...(user === undefined ? {} : { token: { user, session, issuedAt, state } }),
    ...(request.resource === undefined ? {} : { resource: request.resource }),
    ...(request.ids === undefined ? {} : { ids: request.ids }),
    shards: request.shards ?? (request.shard === undefined ? undefined : [request.shard]),
    message: request.message ?? { aggregate_type: [], aggregate_id: [], command_id: [] },
  });
}

for (const file of readdirSync(import.meta.dirname).filter((name) => name.endsWith('.yaml'))) {
  const scenario = parseScenario(readFileSync(new URL(file, import.meta.url), 'utf8'));
  const index = indexOf(scenario.world);
  describe(file, () => {
    it.each(scenario.requests.map((request) => [JSON.stringify(request), request] as const))(
      '%s',
      (_title, request) => {
        const question = toQuestion(request);
        expect(judge(scenario.world, question), 'the independent engine').toBe(request.want);
        expect(answerOf(scenario.world, rowOf(request.endpoint), question, index)).toBe(request.want);
      },
    );
  });
}
