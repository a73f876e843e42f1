import { describe, expect, it } from 'vitest';
import { AccessIndex } from '#domain/access/access-index.ts';
import { holdsRight } from '#domain/access/access-view.ts';
import { encodeRecord } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey } from '#domain/identity/records.ts';
import { LIMITS } from '#domain/limits.ts';
import { assignmentRecord, newKey, userRecord } from '../../support/check-fixture.ts';

type Rec = { readonly schema: typeof IAM_SCHEMA };

function loaded(records: readonly (readonly [string, Rec])[] = []) {
  const problems: string[] = [];
  const index = new AccessIndex((problem) => problems.push(problem));
  let revision = 0;
  const put = (key: string, value: Rec | Uint8Array) => {
    revision += 1;
    index.apply([{ key, revision, value: value instanceof Uint8Array ? value : encodeRecord(value) }]);
  };
  const remove = (key: string) => {
    revision += 1;
    index.apply([{ key, revision }]);
  };
  for (const [key, record] of records) put(key, record);
  index.endLoad();
  return { index, problems, put, remove };
}

const assigned = (id: string, [user, tenant, role]: readonly [string, string | null, string]) =>
  [iamKey.assignment(user, id), assignmentRecord(id, [user, tenant, role])] as const;
const revoked = (sessionId: string, until: number) => ({ schema: IAM_SCHEMA, sessionId, until }) as const;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const idsOf = (index: AccessIndex, user: string, tenant: string | null) =>
  index.roles(user, tenant).map(({ id }) => id);

describe('the access index', () => {
  it('knows nothing before its first load is complete', () => {
    const index = new AccessIndex(() => {});
    index.apply([{ key: iamKey.user('usr_a'), revision: 1, value: encodeRecord(userRecord('usr_a')) }]);
    expect([index.isUsable(), index.isLoading(), index.principal('usr_a')]).toEqual([false, true, undefined]);
    index.endLoad();
    expect([index.isUsable(), index.isLoading()]).toEqual([true, false]);
    expect(index.principal('usr_a')).toEqual({ id: 'usr_a', kind: 'user', status: 'active', tokensValidAfter: 0 });
  });

  it('shows the old state until a new load is complete, and then none of it', () => {
    const { index, put } = loaded([[iamKey.user('usr_old'), userRecord('usr_old')]]);
    index.beginLoad();
    put(iamKey.user('usr_new'), userRecord('usr_new'));
    expect([index.isUsable(), index.principal('usr_old')?.id, index.principal('usr_new')]).toEqual([
      true,
      'usr_old',
      undefined,
    ]);
    index.endLoad();
    expect([index.principal('usr_old'), index.principal('usr_new')?.id]).toEqual([undefined, 'usr_new']);
  });

  it('begins over when a load begins over', () => {
    const { index, put } = loaded();
    index.beginLoad();
    put(iamKey.user('usr_a'), userRecord('usr_a'));
    index.beginLoad();
    index.endLoad();
    expect(index.principal('usr_a')).toBeUndefined();
  });

  it('finds roles by tenant, built in or stored, and forgets assignments one by one', () => {
    const { index, put, remove } = loaded([
      assigned('asg_1', ['usr_a', 'acme', 'tenant-member']),
      assigned('asg_2', ['usr_a', 'acme', 'custom']),
      assigned('asg_3', ['usr_a', null, 'platform-admin']),
      assigned('asg_4', ['usr_a', 'globex', 'gone']),
    ]);
    expect(idsOf(index, 'usr_a', 'acme')).toEqual(['tenant-member']);
    put(iamKey.role('custom'), {
      schema: IAM_SCHEMA,
      id: 'custom',
      rights: [{ action: 'query.read', resource: 'o*' }],
    } as Rec);
    expect(idsOf(index, 'usr_a', 'acme')).toEqual(['tenant-member', 'custom']);
    expect(idsOf(index, 'usr_a', null)).toEqual(['platform-admin']);
    expect([index.isMember('usr_a', 'globex'), idsOf(index, 'usr_a', 'globex')]).toEqual([true, []]);
    expect(index.isMember('usr_a', '')).toBe(false);
    remove(iamKey.assignment('usr_a', 'asg_1'));
    remove(iamKey.assignment('usr_a', 'asg_4'));
    expect([idsOf(index, 'usr_a', 'acme'), index.isMember('usr_a', 'globex')]).toEqual([['custom'], false]);
    expect(index.sizes().assignments).toBe(2);
  });

  it('counts an assignment that was written again once, where it is now', () => {
    const { index, put } = loaded([assigned('asg_1', ['usr_a', 'acme', 'tenant-member'])]);
    put(...assigned('asg_1', ['usr_a', 'globex', 'tenant-admin']));
    expect([index.isMember('usr_a', 'acme'), idsOf(index, 'usr_a', 'globex')]).toEqual([false, ['tenant-admin']]);
    expect(index.sizes().assignments).toBe(1);
  });

  it('takes rights by action and resource patterns', () => {
    const rights = [{ action: 'query.*', resource: 'order*' }];
    const { index } = loaded([
      [iamKey.role('custom'), { schema: IAM_SCHEMA, id: 'custom', rights } as Rec],
      assigned('asg_1', ['usr_a', 'acme', 'custom']),
    ]);
    const holds = (action: string, resource: string | undefined, tenantId: string | null = 'acme') =>
      holdsRight(index, { principalId: 'usr_a', tenantId }, action, resource);
    expect(holds('query.read', 'orders')).toBe(true);
    expect(holds('query.read', undefined)).toBe(true);
    expect(holds('query.read', 'invoices')).toBe(false);
    expect(holds('query.read', '*')).toBe(false);
    expect(holds('queryx.read', 'orders')).toBe(false);
    expect(holds('query.read', 'orders', 'globex')).toBe(false);
    expect(holds('query.read', 'orders', null)).toBe(false);
  });

  it('reports what it cannot read and takes it for absent, which denies', () => {
    const key = newKey('key-1');
    const { index, problems, put } = loaded([
      [iamKey.user('usr_a'), userRecord('usr_a')],
      [iamKey.signingKey('key-1'), key.record],
      assigned('asg_1', ['usr_a', 'acme', 'tenant-member']),
    ]);
    put(iamKey.user('usr_a'), bytes('{'));
    put(iamKey.signingKey('key-1'), { ...key.record, publicJwk: { ...key.record.publicJwk, crv: 'P-384' } } as Rec);
    put(iamKey.assignment('usr_a', 'asg_1'), assignmentRecord('asg_1', ['usr_b', 'acme', 'tenant-admin']));
    expect(index.principal('usr_a')).toBeUndefined();
    expect(index.signingKey('key-1')).toBeUndefined();
    expect(index.isMember('usr_a', 'acme')).toBe(false);
    expect(problems).toHaveLength(3);
  });

  it.each<readonly [string, string, Rec | Uint8Array]>([
    ['a user under another key', 'u.usr_b', userRecord('usr_a')],
    ['a schema of the future', 'u.usr_a', bytes('{"schema":2}')],
    ['bytes that are no UTF-8', 'u.usr_a', Uint8Array.of(0xff)],
    ['null', 'ro.custom', bytes('null')],
    [
      'a built-in role',
      'ro.tenant-admin',
      bytes('{"schema":1,"id":"tenant-admin","rights":[{"action":"*","resource":"*"}]}'),
    ],
    ['a tenant that is none', 'as.usr_a.asg_1', assignmentRecord('asg_1', ['usr_a', 'A CME', 'tenant-member'])],
    ['the empty tenant', 'as.usr_a.asg_1', assignmentRecord('asg_1', ['usr_a', '', 'platform-admin'])],
    ['a platform role in a tenant', 'as.usr_a.asg_1', assignmentRecord('asg_1', ['usr_a', 'acme', 'platform-admin'])],
    ['a tenant role on the platform', 'as.usr_a.asg_1', assignmentRecord('asg_1', ['usr_a', null, 'tenant-admin'])],
    ['a key of no kind', 'x.y', userRecord('usr_a')],
    ['a key with too many parts', 'u.usr_a.b', userRecord('usr_a')],
  ])('does not take %s', (_name, key, value) => {
    const { index, problems, put } = loaded();
    put(key, value);
    expect(problems).toHaveLength(1);
    expect(index.sizes()).toEqual({ principals: 0, assignments: 0, revocations: 0 });
    expect(index.role('tenant-admin')?.rights.some(({ action }) => action === '*')).toBe(false);
  });

  it('takes a session for revoked by the key alone, and forgets it when its tokens are gone', () => {
    const { index, problems, put, remove } = loaded();
    put(iamKey.revocation('ses_a'), revoked('ses_a', 1_000));
    put(iamKey.revocation('ses_b'), bytes('damaged'));
    put(iamKey.revocation('ses_c'), revoked('ses_c', 1_000));
    expect(problems).toHaveLength(1);
    remove(iamKey.revocation('ses_c'));
    index.forgetExpired(1_000 + LIMITS.clockSkewMaxSeconds);
    expect(['ses_a', 'ses_b', 'ses_c'].map((id) => index.isSessionRevoked(id))).toEqual([true, true, false]);
    index.forgetExpired(1_001 + LIMITS.clockSkewMaxSeconds);
    expect(['ses_a', 'ses_b'].map((id) => index.isSessionRevoked(id))).toEqual([false, true]);
  });

  it('takes no more signing keys than it may', () => {
    const { record } = newKey('key');
    const { index, problems, put } = loaded();
    for (let number = 0; number <= LIMITS.signingKeysMaxCount; number += 1) {
      put(iamKey.signingKey(`k${number}`), { ...record, kid: `k${number}` } as Rec);
    }
    expect(index.signingKey(`k${LIMITS.signingKeysMaxCount}`)).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(index.isUsable()).toBe(true);
  });
});
