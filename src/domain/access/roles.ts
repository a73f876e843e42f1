/** Rights and roles. A right is an action on a resource pattern; a role is a set of rights. */

export interface Right {
  /** `command.submit`, `iam.*` (every action below `iam.`) or `*`. */
  readonly action: string;
  /** An exact resource, a prefix ending in `*`, or `*`. */
  readonly resource: string;
}

export interface Role {
  readonly id: string;
  readonly rights: readonly Right[];
}

/** Roles every installation has. They are code, not data: nobody can edit or delete them. */
export const BUILT_IN_ROLES: readonly Role[] = [
  {
    id: 'platform-admin',
    rights: ['iam.*', 'routing.*', 'rebalance.*', 'audit.*', 'runner.admin'].map((action) => ({
      action,
      resource: '*',
    })),
  },
  {
    id: 'tenant-admin',
    rights: ['command.submit', 'query.read', 'runner.admin', 'iam.*', 'audit.*'].map((action) => ({
      action,
      resource: '*',
    })),
  },
  { id: 'tenant-member', rights: ['command.submit', 'query.read'].map((action) => ({ action, resource: '*' })) },
];

/** Whether `text` matches a pattern that is exact or ends in `*`. */
export const matchesPattern = (pattern: string, text: string): boolean =>
  pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : pattern === text;
