import type { Command } from './command.ts';
import { adminBootstrap } from './commands/admin-bootstrap.ts';
import { assignmentsCreate, assignmentsDelete, assignmentsList } from './commands/assignments.ts';
import { certsInit, certsIssue, certsRenew } from './commands/certs/certs.ts';
import { certsShow } from './commands/certs/certs-show.ts';
import { login, logout, whoami } from './commands/login.ts';
import { logsFind } from './commands/logs-find.ts';
import { logsVerify } from './commands/logs-verify.ts';
import { routingDiff } from './commands/routing-diff.ts';
import { routingExplain } from './commands/routing-explain.ts';
import { routingMove, routingPush, routingRollback } from './commands/routing-publish.ts';
import { routingList, routingShow } from './commands/routing-show.ts';
import { routingStatus } from './commands/routing-status.ts';
import { routingSwap } from './commands/routing-swap.ts';
import { routingWatch } from './commands/routing-watch.ts';
import { runnerCall } from './commands/runner-call.ts';
import { status, version } from './commands/status.ts';
import { usersList } from './commands/users.ts';

/** Every command of gatewayctl, in the order of the help text. */
export const COMMANDS: readonly Command[] = [
  adminBootstrap,
  login,
  logout,
  whoami,
  usersList,
  assignmentsCreate,
  assignmentsList,
  assignmentsDelete,
  routingPush,
  routingShow,
  routingList,
  routingDiff,
  routingMove,
  routingRollback,
  routingExplain,
  routingStatus,
  routingSwap,
  routingWatch,
  runnerCall,
  logsVerify,
  logsFind,
  certsInit,
  certsIssue,
  certsRenew,
  certsShow,
  status,
  version,
];
