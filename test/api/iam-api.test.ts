import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Api, type ApiRequest, account, platformAdmin, type SignedIn, startApi } from '../support/api.ts';

let api: Api;
let admin: SignedIn;
let ann: SignedIn;
beforeEach(async () => {
  api = await startApi();
  admin = await platformAdmin(api);
  ann = await account(api, 'ann@example.org');
});
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const as = (who: SignedIn, request: Omit<ApiRequest, 'token'>) => api.call({ ...request, token: who.accessToken });
const grant = (who: SignedIn, body: Readonly<Record<string, unknown>>, tenant?: string) =>
  as(who, { method: 'POST', path: '/admin/iam/assignments', body, ...(tenant === undefined ? {} : { tenant }) });
const member = (of: SignedIn, tenant: string | null, role = 'tenant-member') => ({
  principal_id: of.userId,
  tenant_id: tenant,
  role_id: role,
});
const codes = (answer: { readonly body: { readonly errors: readonly { pointer: string; code: string }[] } }) =>
  answer.body.errors.map((error) => [error.pointer, error.code]);

describe('giving a role', () => {
  it('takes effect for the next request on every replica', async () => {
    const answer = await grant(admin, member(ann, 'acme'));
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      id: expect.stringMatching(/^asg_[a-z2-7]{26}$/),
      ...member(ann, 'acme'),
      created_at: '2026-03-01T12:00:00.000Z',
      created_by: admin.userId,
      revision: expect.any(Number),
      applied: 'all',
    });
    expect(api.rig.access.isMember(ann.userId, 'acme')).toBe(true);
    const me = await as(ann, { method: 'GET', path: '/v1/auth/me' });
    expect(me.body.memberships).toEqual([{ tenant_id: 'acme', role_id: 'tenant-member' }]);
  });

  it('happens once, also when asked for many times at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => grant(admin, member(ann, 'acme'))));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(19);
    const list = await as(admin, { method: 'GET', path: `/admin/iam/assignments?principal_id=${ann.userId}` });
    expect(list.body.items).toHaveLength(1);
  });

  it('names every mistake', async () => {
    const answer = await grant(admin, { principal_id: 'usr_nobody', tenant_id: 'No Tenant', role_id: 'no-role' });
    expect([answer.status, answer.body.code]).toEqual([400, 'validation_failed']);
    expect(codes(answer)).toEqual([
      ['/tenant_id', 'tenant_id'],
      ['/principal_id', 'unknown'],
      ['/role_id', 'unknown'],
    ]);
    expect(codes(await grant(admin, member(ann, 'acme', 'platform-admin')))).toEqual([['/tenant_id', 'platform_role']]);
    expect(codes(await grant(admin, member(ann, null, 'tenant-member')))).toEqual([['/tenant_id', 'tenant_role']]);
    expect(codes(await grant(admin, { principal_id: ann.userId, role_id: 'tenant-member' }))).toEqual([
      ['/tenant_id', 'required'],
    ]);
  });

  it('is written together with its audit record', async () => {
    const before = await api.store.list('aud.', { limit: 500 });
    const answer = await grant(admin, member(ann, 'acme'));
    const after = await api.store.list('aud.', { limit: 500 });
    const fresh = after.filter((record) => !before.some((old) => old.key === record.key));
    expect(fresh).toHaveLength(1);
    expect(JSON.parse(new TextDecoder().decode(fresh[0]?.value))).toMatchObject({
      actor: { id: admin.userId, kind: 'user' },
      action: 'assignment.create',
      target: { type: 'assignment', id: answer.body.id },
      tenantId: 'acme',
      data: { principal_id: ann.userId, role_id: 'tenant-member' },
      requestId: expect.any(String),
    });
  });
});

describe('taking a role away', () => {
  it('takes effect at once, and it can be given again', async () => {
    const given = await grant(admin, member(ann, 'acme'));
    const path = `/admin/iam/assignments/${given.body.id}`;
    const taken = await as(admin, { method: 'DELETE', path });
    expect([taken.status, taken.body]).toEqual([
      200,
      { id: given.body.id, revision: expect.any(Number), applied: 'all' },
    ]);
    expect(api.rig.access.isMember(ann.userId, 'acme')).toBe(false);
    expect((await as(admin, { method: 'DELETE', path })).status).toBe(404);
    expect((await grant(admin, member(ann, 'acme'))).status).toBe(201);
    expect(api.rig.access.isMember(ann.userId, 'acme')).toBe(true);
  });
});

describe('the platform', () => {
  const adminAssignments = async () => {
    const list = await as(admin, { method: 'GET', path: '/admin/iam/assignments' });
    return list.body.items.filter((item: { role_id: string }) => item.role_id === 'platform-admin');
  };
  const remove = (who: SignedIn, id: string) => as(who, { method: 'DELETE', path: `/admin/iam/assignments/${id}` });

  it('keeps its last administrator', async () => {
    const [own] = await adminAssignments();
    const refused = await remove(admin, own.id);
    expect([refused.status, refused.body.code]).toEqual([409, 'conflict']);
    const second = await grant(admin, member(ann, null, 'platform-admin'));
    expect(second.status).toBe(201);
    expect((await remove(ann, own.id)).status).toBe(200);
    expect((await remove(ann, second.body.id)).status).toBe(409);
  });

  it('keeps one of two who remove each other at once', async () => {
    const [own] = await adminAssignments();
    const second = await grant(admin, member(ann, null, 'platform-admin'));
    const answers = await Promise.all([remove(admin, second.body.id), remove(ann, own.id)]);
    expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409]);
    expect((await api.store.list('as.', { limit: 10 })).length).toBe(1);
  });
});

describe('a tenant administrator', () => {
  let bob: SignedIn;
  beforeEach(async () => {
    bob = await account(api, 'bob@example.org');
    await grant(admin, member(ann, 'acme', 'tenant-admin'));
  });

  it('gives roles within the own tenant only', async () => {
    expect((await grant(ann, member(bob, 'acme'), 'acme')).status).toBe(201);
    expect((await grant(ann, member(bob, 'acme', 'tenant-admin'), 'acme')).status).toBe(201);
    const other = await grant(ann, member(bob, 'globex'), 'acme');
    expect([other.status, other.body.code]).toEqual([403, 'tenant_forbidden']);
    const platform = await grant(ann, member(bob, null, 'platform-admin'), 'acme');
    expect([platform.status, platform.body.code]).toEqual([403, 'right_missing']);
    const smuggled = await grant(ann, member(bob, 'acme', 'platform-admin'), 'acme');
    expect([smuggled.status, smuggled.body.code]).toEqual([400, 'validation_failed']);
    const foreign = await grant(ann, member(bob, 'globex'), 'globex');
    expect([foreign.status, foreign.body.code]).toEqual([403, 'right_missing']);
    const nowhere = await grant(ann, member(bob, 'acme'));
    expect([nowhere.status, nowhere.body.code]).toEqual([403, 'right_missing']);
  });

  it('cannot give a role with rights that it lacks itself', async () => {
    const role = { schema: 1, id: 'router', rights: [{ action: 'routing.*', resource: '*' }] };
    await api.store.commit([{ key: 'ro.router', value: new TextEncoder().encode(JSON.stringify(role)) }]);
    const answer = await grant(ann, member(bob, 'acme', 'router'), 'acme');
    expect([answer.status, answer.body.code]).toEqual([403, 'right_missing']);
    expect((await grant(admin, member(bob, 'acme', 'router'))).status).toBe(201);
    // Held in a tenant, the right does not reach the routing of the platform.
    const routing = await as(bob, { method: 'GET', path: '/admin/routing/status', tenant: 'acme' });
    expect([routing.status, routing.body.code]).toEqual([403, 'right_missing']);
  });

  it('sees and changes nothing of others: as if it did not exist', async () => {
    const other = await grant(admin, member(bob, 'globex'));
    const mine = await as(ann, { method: 'GET', path: '/admin/iam/assignments', tenant: 'acme' });
    expect(mine.body.items.map((item: { principal_id: string }) => item.principal_id)).toEqual([ann.userId]);
    const users = await as(ann, { method: 'GET', path: '/admin/iam/users', tenant: 'acme' });
    expect(users.body.items.map((item: { id: string }) => item.id)).toEqual([ann.userId]);
    const byMail = await as(ann, { method: 'GET', path: '/admin/iam/users?email=bob@example.org', tenant: 'acme' });
    expect(byMail.body.items).toEqual([]);
    for (const path of [`/admin/iam/users/${bob.userId}`, '/admin/iam/users/usr_unknown']) {
      const answer = await as(ann, { method: 'GET', path, tenant: 'acme' });
      expect([answer.status, answer.body.detail]).toEqual([404, 'no such user']);
    }
    const remove = await as(ann, { method: 'DELETE', path: `/admin/iam/assignments/${other.body.id}`, tenant: 'acme' });
    expect(remove.status).toBe(404);
  });
});

describe('lists', () => {
  it('go on where the page before ended', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await account(api, `${name}@example.org`);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query = cursor === undefined ? '' : `&cursor=${cursor}`;
      const page = await as(admin, { method: 'GET', path: `/admin/iam/users?limit=2${query}` });
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.items.map((item: { email: string }) => item.email));
      cursor = page.body.next_cursor;
    } while (cursor !== undefined);
    expect(seen.sort()).toEqual(['a', 'ann', 'b', 'c', 'd', 'root'].map((name) => `${name}@example.org`));
  });

  it('refuse limits and cursors that are none', async () => {
    for (const query of ['limit=0', 'limit=x', 'cursor=../x', 'cursor=%00', 'offset=1']) {
      const answer = await as(admin, { method: 'GET', path: `/admin/iam/users?${query}` });
      expect([query, answer.status, answer.body.code]).toEqual([query, 400, 'validation_failed']);
      expect(answer.body.errors[0].pointer).toMatch(/^\/query\//);
    }
  });

  it('find a user by address, and one by id with a tag', async () => {
    const found = await as(admin, { method: 'GET', path: '/admin/iam/users?email=ANN%40example.org' });
    expect(found.body.items.map((item: { id: string }) => item.id)).toEqual([ann.userId]);
    const one = await as(admin, { method: 'GET', path: `/admin/iam/users/${ann.userId}` });
    expect(one.headers['etag']).toMatch(/^"\d+"$/);
    const roles = await as(admin, { method: 'GET', path: '/admin/iam/roles' });
    expect(roles.body.items.map((item: { id: string }) => item.id)).toEqual([
      'platform-admin',
      'tenant-admin',
      'tenant-member',
    ]);
  });

  it('are closed to who has no right', async () => {
    const answer = await as(ann, { method: 'GET', path: '/admin/iam/users' });
    expect([answer.status, answer.body.code]).toEqual([403, 'right_missing']);
  });
});
