import { PLATFORM_ADMIN } from '#domain/identity/assignment-rules.ts';
import { encodeRecord, readPlatformAdmins } from '#domain/identity/record-codec.ts';
import { type AssignmentRecord, IAM_SCHEMA, iamKey } from '#domain/identity/records.ts';
import type { KeyValueStore, Write } from '#ports/key-value-store.ts';

/**
 * The roster of platform admins. The bootstrap works once, so a platform without an admin could never be administered
 * again: each grant and removal writes this one key, and two admins who remove each other at once meet there.
 */
type Change = Pick<AssignmentRecord, 'id' | 'roleId'>;
type Reads = Pick<KeyValueStore, 'get'>;

/** What giving an assignment adds to its commit. */
export async function enrolWrites(store: Reads, assignment: Change): Promise<readonly Write[]> {
  if (assignment.roleId !== PLATFORM_ADMIN) return [];
  const { others, revision } = await readOthers(store, assignment.id);
  return [rosterWrite([...others, assignment.id], revision)];
}

/** What taking an assignment away adds to its commit; undefined when nobody would be left. */
export async function dischargeWrites(store: Reads, assignment: Change): Promise<readonly Write[] | undefined> {
  if (assignment.roleId !== PLATFORM_ADMIN) return [];
  const { others, revision } = await readOthers(store, assignment.id);
  return others.length === 0 ? undefined : [rosterWrite(others, revision)];
}

async function readOthers(store: Reads, id: string) {
  const stored = await store.get(iamKey.platformAdmins());
  const all = stored === undefined ? [] : readPlatformAdmins(stored.value).assignmentIds;
  return { others: all.filter((other) => other !== id), revision: stored?.revision ?? 0 };
}

const rosterWrite = (assignmentIds: readonly string[], revision: number): Write => ({
  key: iamKey.platformAdmins(),
  value: encodeRecord({ schema: IAM_SCHEMA, assignmentIds }),
  expect: revision,
});
