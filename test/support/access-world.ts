import { AccessIndex } from '#domain/access/access-index.ts';
import { decide } from '#domain/access/decide.ts';
import { BUILT_IN_ROLES } from '#domain/access/roles.ts';
import { ENDPOINTS, type EndpointRow } from '#domain/endpoints.ts';
import { encodeRecord } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey } from '#domain/identity/records.ts';
import type { Question, World } from './access-oracle.ts';
import { assignmentRecord, userRecord } from './check-fixture.ts';

/** The product's index of a world told in the words of the oracle. */
export function indexOf(world: World): AccessIndex {
  const index = new AccessIndex(() => {});
  const records: [string, { readonly schema: typeof IAM_SCHEMA }][] = [];
  for (const { id, disabled, tokensValidAfter } of world.users) {
    const status = disabled === true ? 'disabled' : 'active';
    records.push([iamKey.user(id), userRecord(id, { status, tokensValidAfter: tokensValidAfter ?? 0 })]);
  }
  for (const [id, texts] of Object.entries(world.roles)) {
    if (BUILT_IN_ROLES.some((role) => role.id === id)) continue;
    const rights = texts.map((text) => {
      const [action = '', resource = ''] = text.split(' on ');
      return { action, resource };
    });
    const record = { schema: IAM_SCHEMA, id, rights } as const;
    records.push([iamKey.role(id), record]);
  }
  for (const [number, { user, tenant, role }] of world.assignments.entries()) {
    records.push([iamKey.assignment(user, `asg_${number}`), assignmentRecord(`asg_${number}`, [user, tenant, role])]);
  }
  for (const sessionId of world.revokedSessions) {
    const record = { schema: IAM_SCHEMA, sessionId, until: 2_000_000_000 } as const;
    records.push([iamKey.revocation(sessionId), record]);
  }
  index.apply(records.map(([key, record], revision) => ({ key, revision, value: encodeRecord(record) })));
  index.endLoad();
  return index;
}

export function rowOf(id: string): EndpointRow {
  const row = ENDPOINTS.find((candidate) => candidate.id === id);
  if (row === undefined) throw new Error(`the catalogue has no endpoint ${id}`);
  return row;
}

/** What a request says, where a row says what to do about it. */
interface Asked extends Pick<Question, 'tenants'> {
  readonly token?: Question['token'] | undefined;
  readonly resource?: string;
  readonly message?: Question['message'];
  readonly ids?: Question['ids'];
  readonly shards?: Question['shards'] | undefined;
}

/** The oracle's question about a row. */
export const questionOf = (row: EndpointRow, rest: Asked): Question => ({
  access: row.access,
  tenantRule: row.tenant,
  ...(row.action === undefined ? {} : { action: row.action }),
  target: row.target,
  tenants: rest.tenants,
  ...(rest.token === undefined ? {} : { token: rest.token }),
  ...(rest.resource === undefined || row.resource?.from !== 'path' ? {} : { resource: rest.resource }),
  ...(rest.message === undefined || row.resource?.from !== 'message' ? {} : { message: rest.message }),
  ...(rest.ids === undefined || row.resource?.from !== 'message' ? {} : { ids: rest.ids }),
  ...(rest.shards === undefined || row.shardHeader === undefined ? {} : { shards: rest.shards }),
});

const NO_MESSAGE = { aggregate_type: [], aggregate_id: [], command_id: [] } as const;

/** The product's answer, in the words of the oracle. */
export function answerOf(world: World, row: EndpointRow, question: Question, index = indexOf(world)): string {
  const { token } = question;
  const verified = token && {
    principalId: token.user,
    sessionId: token.session,
    tokenId: 'jti_a',
    clientId: 'gateway',
    issuedAt: token.issuedAt,
    expiresAt: token.issuedAt + 600,
  };
  const failed = token?.state === 'expired' ? 'token_expired' : 'token_invalid';
  const decision = decide(
    {
      row,
      authorizationCount: token === undefined ? 0 : 1,
      tenantHeaders: question.tenants,
      credentials:
        token === undefined || verified === undefined
          ? { kind: 'none' }
          : {
              kind: 'token',
              result: token.state === 'good' ? { ok: true, token: verified } : { ok: false, reason: failed },
            },
      pathResource: question.resource,
      message: question.message ?? NO_MESSAGE,
      commandIdHeaders: (question.ids ?? []).map((id) => id ?? undefined),
      namedShard: question.shards === undefined || question.shards.length === 1 ? question.shards?.[0] : '',
    },
    {
      access: index,
      accessIsFresh: true,
      routing: {
        state: 'held',
        placement: (tenant, kind) => {
          const shard = world.placements[tenant]?.[kind];
          return shard === undefined ? undefined : { cluster: `${kind}/${shard}`, epoch: 1 };
        },
        shard: (kind, name) =>
          world.shards?.[kind]?.includes(name) ? { cluster: `${kind}/${name}`, epoch: undefined } : undefined,
      },
    },
  );
  if (decision.outcome === 'allow') return `allow ${decision.place?.cluster ?? 'api'}`;
  return decision.outcome === 'deny' ? decision.reason : 'wait';
}
