import { roleScope } from '../identity/assignment-rules.ts';
import {
  type DecisionKey,
  type Parsed,
  parseAssignmentRecord,
  parseDecisionKey,
  parseRevocationRecord,
  parseRoleRecord,
  parseSigningKeyRecord,
  parseUserRecord,
} from '../identity/parse-records.ts';
import type { SigningKeyRecord } from '../identity/records.ts';
import { LIMITS } from '../limits.ts';
import type { AccessView, Principal } from './access-view.ts';
import { BUILT_IN_ROLES, type Role } from './roles.ts';

/** One change of a key, as a watch of the store reports it; `value` absent = the key is gone. */
export interface RecordChange {
  readonly key: string;
  readonly revision: number;
  readonly value?: Uint8Array;
}

interface Assignment {
  readonly id: string;
  readonly roleId: string;
}

/** One complete set of tables. Two exist only while everything is loaded anew. */
interface Tables {
  readonly principals: Map<string, Principal>;
  readonly roles: Map<string, Role>;
  /** Principal -> tenant (or the platform) -> assignments. */
  readonly assignments: Map<string, Map<string, readonly Assignment[]>>;
  /** Session -> end of its revocation in seconds since the epoch; a damaged record never ends. */
  readonly revocations: Map<string, number>;
  readonly keys: Map<string, SigningKeyRecord>;
  assignmentsCount: number;
  /** A revocation did not fit: nobody can be told apart from a revoked session any more. */
  overflowed: boolean;
}

/** No tenant id is empty, so the platform can have the empty name. */
const PLATFORM = '';
const NO_ROLES: readonly Role[] = [];
const BUILT_IN: ReadonlyMap<string, Role> = new Map(BUILT_IN_ROLES.map((role) => [role.id, role]));

/**
 * The index that decisions are made from: principals, roles, assignments, revoked sessions and public signing keys,
 * kept by the changes of bucket IAM. A full load fills a second set of tables and takes the place of the first in one
 * step, so that no decision ever sees half a load. Records that cannot be read, or for which there is no room, are
 * reported and count as absent, which denies; for a revocation the key alone is enough to deny.
 */
export class AccessIndex implements AccessView {
  readonly #report: (problem: string) => void;
  #front: Tables = emptyTables();
  /** Filled while loading; undefined when changes go to the front. */
  #back: Tables | undefined = emptyTables();
  #loadedOnce = false;

  /** @param report is told of each record that is not usable, in a sentence for the log */
  constructor(report: (problem: string) => void) {
    this.#report = report;
  }

  /** A full load begins: what is not reported again until `endLoad` is gone. */
  beginLoad(): void {
    this.#back = emptyTables();
  }

  /** Everything there is has been reported: the loaded tables are in force from now on. */
  endLoad(): void {
    if (this.#back !== undefined) this.#front = this.#back;
    this.#back = undefined;
    this.#loadedOnce = true;
  }

  apply(changes: readonly RecordChange[]): void {
    const tables = this.#back ?? this.#front;
    for (const change of changes) {
      const key = parseDecisionKey(change.key);
      if (key === undefined) this.#report(`${change.key.slice(0, 200)} is no key that decisions know`);
      else this.#applyOne(tables, key, change.value);
    }
  }

  /** Whether decisions can be made: everything was loaded once, and no revocation was lost for want of room. */
  isUsable(): boolean {
    return this.#loadedOnce && !this.#front.overflowed;
  }

  /** Whether a full load is under way: the tables in force are as old as its beginning. */
  isLoading(): boolean {
    return this.#back !== undefined;
  }

  principal(principalId: string): Principal | undefined {
    return this.#front.principals.get(principalId);
  }

  isSessionRevoked(sessionId: string): boolean {
    return this.#front.revocations.has(sessionId);
  }

  roles(principalId: string, tenantId: string | null): readonly Role[] {
    const held = this.#front.assignments.get(principalId)?.get(tenantId ?? PLATFORM);
    if (held === undefined) return NO_ROLES;
    const only = held.length === 1 ? held[0] : undefined;
    if (only !== undefined) return this.#singleRole(only.roleId);
    return held.flatMap((assignment) => this.role(assignment.roleId) ?? []);
  }

  isMember(principalId: string, tenantId: string): boolean {
    return tenantId !== PLATFORM && this.#front.assignments.get(principalId)?.has(tenantId) === true;
  }

  /** A built-in role or a stored one. */
  role(roleId: string): Role | undefined {
    return BUILT_IN.get(roleId) ?? this.#front.roles.get(roleId);
  }

  signingKey(kid: string): SigningKeyRecord | undefined {
    return this.#front.keys.get(kid);
  }

  /** Sizes of the tables in force, for metrics. */
  sizes(): { readonly principals: number; readonly assignments: number; readonly revocations: number } {
    const { principals, assignmentsCount, revocations } = this.#front;
    return { principals: principals.size, assignments: assignmentsCount, revocations: revocations.size };
  }

  /** Forgets revocations whose tokens have all expired. Call it now and then: the store forgets them on its own. */
  forgetExpired(nowSeconds: number): void {
    for (const [sessionId, until] of this.#front.revocations) {
      if (until + LIMITS.clockSkewMaxSeconds < nowSeconds) this.#front.revocations.delete(sessionId);
    }
  }

  /** One-element lists of roles, made once per role: a check allocates none. */
  readonly #single = new WeakMap<Role, readonly Role[]>();

  #singleRole(roleId: string): readonly Role[] {
    const role = this.role(roleId);
    if (role === undefined) return NO_ROLES;
    const known = this.#single.get(role);
    if (known !== undefined) return known;
    const list = [role];
    this.#single.set(role, list);
    return list;
  }

  #applyOne(tables: Tables, key: DecisionKey, value: Uint8Array | undefined): void {
    switch (key.kind) {
      case 'user':
        this.#applyUser(tables, key.userId, value);
        break;
      case 'role':
        this.#applyRole(tables, key.roleId, value);
        break;
      case 'assignment':
        this.#applyAssignment(tables, key, value);
        break;
      case 'revocation':
        this.#applyRevocation(tables, key.sessionId, value);
        break;
      case 'signing_key':
        this.#applySigningKey(tables, key.kid, value);
        break;
    }
  }

  #applySigningKey(tables: Tables, kid: string, value: Uint8Array | undefined): void {
    const key = value && this.#usable(parseSigningKeyRecord(kid, value));
    this.#put(tables.keys, LIMITS.signingKeysMaxCount, { name: kid, value: key });
  }

  #applyUser(tables: Tables, userId: string, value: Uint8Array | undefined): void {
    const user = value && this.#usable(parseUserRecord(userId, value));
    this.#put(tables.principals, LIMITS.principalsMaxCount, {
      name: userId,
      value: user && { id: user.id, kind: 'user', status: user.status, tokensValidAfter: user.tokensValidAfter },
    });
  }

  #applyRole(tables: Tables, roleId: string, value: Uint8Array | undefined): void {
    if (BUILT_IN.has(roleId)) {
      this.#report(`ro.${roleId} is ignored: the role is built in`);
      return;
    }
    const role = value && this.#usable(parseRoleRecord(roleId, value));
    this.#put(tables.roles, LIMITS.rolesMaxCount, {
      name: roleId,
      value: role && { id: role.id, rights: role.rights.map(({ action, resource }) => ({ action, resource })) },
    });
  }

  #applyAssignment(
    tables: Tables,
    key: { readonly principalId: string; readonly assignmentId: string },
    value: Uint8Array | undefined,
  ): void {
    withdraw(tables, key);
    const record = value && this.#usable(parseAssignmentRecord(key, value));
    if (record === undefined) return;
    if (roleScope(record.roleId) !== (record.tenantId === null ? 'platform' : 'tenant')) {
      this.#report(`as.${key.principalId}.${key.assignmentId} is ignored: the role cannot be held there`);
      return;
    }
    if (tables.assignmentsCount >= LIMITS.assignmentsMaxCount) {
      this.#report(`as.${key.principalId}.${key.assignmentId} is ignored: there is no room`);
      return;
    }
    const tenant = record.tenantId ?? PLATFORM;
    const held = tables.assignments.get(key.principalId) ?? new Map<string, readonly Assignment[]>();
    held.set(tenant, [...(held.get(tenant) ?? []), { id: record.id, roleId: record.roleId }]);
    tables.assignments.set(key.principalId, held);
    tables.assignmentsCount += 1;
  }

  #applyRevocation(tables: Tables, sessionId: string, value: Uint8Array | undefined): void {
    if (value === undefined) {
      tables.revocations.delete(sessionId);
      return;
    }
    if (tables.revocations.size >= LIMITS.revocationsMaxCount && !tables.revocations.has(sessionId)) {
      this.#report('there is no room for another revoked session: decisions stop');
      tables.overflowed = true;
      return;
    }
    const record = this.#usable(parseRevocationRecord(sessionId, value));
    tables.revocations.set(sessionId, record?.until ?? Number.POSITIVE_INFINITY);
  }

  #usable<Rec>(parsed: Parsed<Rec>): Rec | undefined {
    if (parsed.ok) return parsed.value;
    this.#report(parsed.error);
    return undefined;
  }

  #put<Value>(table: Map<string, Value>, maxCount: number, entry: { name: string; value: Value | undefined }): void {
    if (entry.value === undefined) table.delete(entry.name);
    else if (table.size < maxCount || table.has(entry.name)) table.set(entry.name, entry.value);
    else this.#report(`${entry.name} is ignored: there is no room`);
  }
}

const emptyTables = (): Tables => ({
  principals: new Map(),
  roles: new Map(),
  assignments: new Map(),
  revocations: new Map(),
  keys: new Map(),
  assignmentsCount: 0,
  overflowed: false,
});

/** Takes an assignment out, wherever the principal held it. */
function withdraw(tables: Tables, key: { readonly principalId: string; readonly assignmentId: string }): void {
  const held = tables.assignments.get(key.principalId);
  if (held === undefined) return;
  for (const [tenant, assignments] of held) {
    if (!assignments.some((assignment) => assignment.id === key.assignmentId)) continue;
    const left = assignments.filter((assignment) => assignment.id !== key.assignmentId);
    tables.assignmentsCount -= 1;
    if (left.length > 0) held.set(tenant, left);
    else held.delete(tenant);
    break;
  }
  if (held.size === 0) tables.assignments.delete(key.principalId);
}
