import { appliedText, isRecord, listOf, shown, textOf } from '../answer.ts';
import type { Command, ParsedArgs } from '../command.ts';
import { RefusedError, UsageError } from '../failures.ts';
import { type Gateway, listAll } from '../gateway-client.ts';
import { fields, table } from '../render.ts';
import { tenantOf } from './login.ts';
import { LIST_DEFAULT_COUNT, moreLine } from './users.ts';

export const assignmentsCreate: Command = {
  name: 'assignments create',
  summary: 'give a user a role in a tenant or on the platform',
  args: [],
  options: {
    user: { value: 'USER', required: true, help: 'e-mail address or id of the user' },
    tenant: { value: 'TENANT', help: 'the tenant' },
    platform: { help: 'the whole platform instead of one tenant' },
    role: { value: 'ROLE', required: true, help: 'platform-admin, tenant-admin, tenant-member or a role of your own' },
  },
  example: 'assignments create --user ann@example.com --tenant acme --role tenant-member',
  run: async ({ parsed, gateway }) => {
    const tenantId = wantedTenant(parsed);
    const user = parsed.required('user');
    const roleId = parsed.required('role');
    const api = await gateway();
    const answer = await api.call({
      endpoint: 'iam.assignments.create',
      body: { principal_id: await userId(api, user), tenant_id: tenantId, role_id: roleId },
    });
    return {
      json: answer,
      text: (paint) =>
        fields(
          [
            ['assignment', shown(answer, 'id')],
            ['user', user],
            ['tenant', tenantId ?? '(platform)'],
            ['role', roleId],
            ['applied', appliedText(answer)],
          ],
          paint,
        ),
    };
  },
};

export const assignmentsList: Command = {
  name: 'assignments list',
  summary: 'list who has which role where',
  args: [],
  options: {
    user: { value: 'USER', help: 'only those of this user (e-mail address or id)' },
    tenant: { value: 'TENANT', help: 'only those in this tenant' },
    limit: { value: 'N', help: `look at no more than N (default ${LIST_DEFAULT_COUNT})` },
  },
  example: 'assignments list --tenant acme',
  run: async ({ parsed, gateway }) => {
    const limit = parsed.count('limit') ?? LIST_DEFAULT_COUNT;
    const api = await gateway();
    const user = parsed.text('user');
    const principalId = user === undefined ? undefined : await userId(api, user);
    const tenantId = parsed.text('tenant');
    const query = { principal_id: principalId, tenant_id: tenantId };
    const { items, more } = await listAll(api, { endpoint: 'iam.assignments.list', query }, limit);
    const rows = items
      .filter(isRecord)
      .map((entry) => [shown(entry, 'id'), shown(entry, 'principal_id'), tenantOf(entry), shown(entry, 'role_id')]);
    return {
      json: { items, more },
      text: (paint) => table(['ID', 'PRINCIPAL', 'TENANT', 'ROLE'], rows, paint) + moreLine(more, paint.faint),
    };
  },
};

export const assignmentsDelete: Command = {
  name: 'assignments delete',
  summary: 'take a role away again',
  args: ['ASSIGNMENT'],
  options: {},
  details: 'ASSIGNMENT is the id that `assignments list` shows.',
  example: 'assignments delete asg_7k2m4n6p8q2r4s6t2v4w6x2y4z',
  run: async ({ parsed, gateway }) => {
    const id = parsed.args[0] ?? '';
    const api = await gateway();
    const answer = await api.call({ endpoint: 'iam.assignments.delete', path: { assignment_id: id } });
    return {
      json: answer ?? { id, deleted: true },
      text: (paint) => `${paint.good('deleted')} ${id}${applied(answer)}\n`,
    };
  },
};

/** null = the platform. @throws UsageError unless exactly one of the two was said */
function wantedTenant(parsed: ParsedArgs): string | null {
  const tenant = parsed.text('tenant');
  if ((tenant === undefined) !== parsed.flag('platform')) {
    throw new UsageError('give either --tenant TENANT or --platform', 'assignments create');
  }
  return tenant ?? null;
}

const applied = (answer: unknown): string => {
  const state = appliedText(answer);
  return state === '-' ? '' : ` (applied: ${state})`;
};

/**
 * The id of a user named by id or by address. The address is compared once more here: a right must never go to
 * somebody whom a gateway of another version listed for want of the filter.
 */
async function userId(api: Gateway, user: string): Promise<string> {
  if (!user.includes('@')) return user;
  const email = user.trim().toLowerCase();
  const answer = await api.call({ endpoint: 'iam.users.list', query: { email } });
  const found = listOf(answer, 'items').find((item) => textOf(item, 'email')?.toLowerCase() === email);
  const id = textOf(found, 'id');
  if (id !== undefined) return id;
  const detail = `no user has the address ${user}`;
  throw new RefusedError(404, { title: 'Not found', status: 404, code: 'not_found', detail });
}
