import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { auditRecord } from '#domain/identity/audit.ts';
import { encodeRecord, readAssignment, readAssignmentIndex } from '#domain/identity/record-codec.ts';
import { iamKey } from '#domain/identity/records.ts';
import { type Attempt, commitDecision } from '../commit/commit-decision.ts';
import { type Applied, waitApplied } from '../commit/wait-applied.ts';
import type { IdentityServices } from '../identity/identity-services.ts';
import { dischargeWrites } from '../identity/platform-admins.ts';
import { type AdminCaller, isInScope } from './caller.ts';

export interface AssignmentDeleted {
  readonly revision: number;
  readonly applied: Applied;
}

const ASSIGNMENT_ID = /^asg_[a-z2-7]{26}$/;
const notFound = () => refuse('not_found', 'no such assignment');

/** Takes a role away. An assignment outside the caller's scope is `not_found`, as if it did not exist. */
export function deleteAssignment(services: Pick<IdentityServices, 'store' | 'secrets' | 'clock' | 'board'>) {
  return async (assignmentId: string, caller: AdminCaller): Promise<Outcome<AssignmentDeleted>> => {
    if (!ASSIGNMENT_ID.test(assignmentId)) return notFound();
    const { store, secrets, clock } = services;
    const auditId = secrets.newId('aud');
    const outcome = await commitDecision({
      store,
      operationKey: iamKey.audit(auditId),
      attempt: async (): Promise<Attempt<number>> => {
        const index = await store.get(iamKey.assignmentIndex(assignmentId));
        if (index === undefined) return { answer: notFound() };
        const key = iamKey.assignment(readAssignmentIndex(index.value).principalId, assignmentId);
        const stored = await store.get(key);
        if (stored === undefined) return { answer: notFound() };
        const assignment = readAssignment(stored.value);
        if (!isInScope(caller, assignment.tenantId)) return { answer: notFound() };
        const roster = await dischargeWrites(store, assignment);
        if (roster === undefined) return { answer: refuse('conflict', 'the platform must keep one administrator') };
        const audit = auditRecord({
          id: auditId,
          nowMs: clock.nowMs(),
          context: caller.context,
          action: 'assignment.delete',
          target: { type: 'assignment', id: assignmentId },
          tenantId: assignment.tenantId,
          data: { principal_id: assignment.principalId, role_id: assignment.roleId },
        });
        return {
          // The assignment comes last: its revision, which deciders report, is the commit's.
          writes: [
            { key: iamKey.audit(auditId), value: encodeRecord(audit), expect: 0 },
            ...roster,
            { key: iamKey.assignmentIndex(assignmentId), expect: index.revision },
            { key, expect: stored.revision },
          ],
          committed: (revision) => revision,
        };
      },
    });
    if (!outcome.ok) return outcome;
    return succeed({ revision: outcome.value, applied: await waitApplied(services.board, outcome.value) });
  };
}
