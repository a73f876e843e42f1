/**
 * A second opinion on access decisions: slow, obvious, written from the contract and not from the product's code. It
 * scans lists, and judges one question after the other in the order of the contract.
 */
export interface World {
  readonly users: readonly { readonly id: string; readonly disabled?: boolean; readonly tokensValidAfter?: number }[];
  readonly roles: Readonly<Record<string, readonly string[]>>;
  readonly assignments: readonly { readonly user: string; readonly tenant: string | null; readonly role: string }[];
  readonly revokedSessions: readonly string[];
  /** tenant -> kind -> shard */
  readonly placements: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** kind -> the shards there are; absent: none that anybody could name. */
  readonly shards?: Readonly<Record<string, readonly string[]>>;
}

export interface Question {
  readonly access: 'public' | 'principal' | 'right';
  readonly tenantRule: 'required' | 'optional' | 'ignored';
  readonly action?: string;
  readonly resource?: string;
  readonly target: string;
  /** Absent: no token. */
  readonly token?: {
    readonly user: string;
    readonly session: string;
    readonly issuedAt: number;
    readonly state: 'good' | 'invalid' | 'expired';
  };
  readonly tenants: readonly string[];
  /** Absent: the endpoint takes no command. */
  readonly message?: Readonly<Record<'aggregate_type' | 'aggregate_id' | 'command_id', readonly string[]>>;
  /** What the headers that can name a command say, the stronger first; null: there several times. */
  readonly ids?: readonly (string | null)[];
  /** What the headers that name a shard say. Absent: none is there, or the endpoint reads none. */
  readonly shards?: readonly string[];
}

/** `allow <cluster>` or the code of the refusal. */
export function judge(world: World, question: Question): string {
  if (question.access !== 'public') {
    const refusal = judgeToken(world, question);
    if (refusal !== undefined) return refusal;
  }
  if (question.tenants.length > 1) return 'tenant_invalid';
  if (question.access === 'right') {
    const refusal =
      judgeTenant(question) ?? judgeShard(question) ?? judgeRights(world, question) ?? judgeMessage(question);
    if (refusal !== undefined) return refusal;
  }
  if (question.target === 'api') return 'allow api';
  if (question.shards !== undefined) {
    const [named = ''] = question.shards;
    return world.shards?.[question.target]?.includes(named) ? `allow ${question.target}/${named}` : 'not_found';
  }
  const shard = world.placements[question.tenants[0] ?? '']?.[question.target];
  return shard === undefined ? 'tenant_unplaced' : `allow ${question.target}/${shard}`;
}

function judgeToken(world: World, { token }: Question): string | undefined {
  if (token === undefined) return 'token_missing';
  if (token.state !== 'good') return token.state === 'expired' ? 'token_expired' : 'token_invalid';
  if (world.revokedSessions.includes(token.session)) return 'session_revoked';
  const user = world.users.find(({ id }) => id === token.user);
  if (user === undefined) return 'token_invalid';
  if (user.disabled === true) return 'principal_disabled';
  if (token.issuedAt < (user.tokensValidAfter ?? 0)) return 'session_revoked';
  return undefined;
}

const NAME = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/;

function judgeTenant({ tenantRule, tenants, shards }: Question): string | undefined {
  if (tenantRule === 'ignored') return undefined;
  if (tenants.length === 0) return tenantRule === 'required' && shards === undefined ? 'tenant_missing' : undefined;
  return NAME.test(tenants[0] ?? '') ? undefined : 'tenant_invalid';
}

/** A shard is named once, by a name that a shard can have. */
function judgeShard({ shards }: Question): string | undefined {
  return shards === undefined || (shards.length === 1 && NAME.test(shards[0] ?? '')) ? undefined : 'validation_failed';
}

function judgeRights(world: World, question: Question): string | undefined {
  const user = question.token?.user;
  const tenant = question.tenantRule === 'ignored' ? undefined : question.tenants[0];
  const held = world.assignments.filter((assignment) => assignment.user === user);
  const inTenant = held.filter((assignment) => assignment.tenant === tenant);
  const onPlatform = held.filter((assignment) => assignment.tenant === null);
  const grants = (assignments: typeof held) =>
    assignments.some(({ role }) => (world.roles[role] ?? []).some((right) => covers(right, question)));
  if (grants(onPlatform)) return undefined;
  // No tenant has a say about a shard, which is everybody's.
  if (question.shards !== undefined) return 'right_missing';
  if (question.tenantRule === 'required' && inTenant.length === 0) return 'tenant_forbidden';
  return grants(inTenant) ? undefined : 'right_missing';
}

/** A right is written `action on resource`, each exact or ending in `*`. */
function covers(right: string, { action = '', resource, message }: Question): boolean {
  const [rightAction = '', rightResource = ''] = right.split(' on ');
  if (!glob(rightAction, action)) return false;
  if (message === undefined) return glob(rightResource, resource ?? '*');
  // A message that does not name one type is refused for that, by whoever holds the action on anything.
  const [type = '', ...more] = message.aggregate_type;
  return type === '' || more.length > 0 || glob(rightResource, type);
}

const glob = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, pattern.length - 1)) : text === pattern;

function judgeMessage({ message, ids = [] }: Question): string | undefined {
  if (message === undefined) return undefined;
  const whole = [message.aggregate_type, message.aggregate_id].every(([value = '', ...more]) => {
    return value !== '' && more.length === 0;
  });
  // Every place that names the command: there must be one at least, well formed, and all must name the same.
  const names = [...message.command_id.filter((id) => id !== ''), ...ids];
  const [name] = names;
  const clear = message.command_id.length < 2 && typeof name === 'string' && names.every((other) => other === name);
  return whole && clear && /^[A-Za-z0-9._:~@-]{1,128}$/.test(name ?? '') ? undefined : 'validation_failed';
}
