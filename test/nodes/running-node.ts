import type { ServerTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import type { Tracing } from '#platform/tracing/tracing.ts';
import type { NodeConfig } from './config.ts';

/** What a node is started with. */
export interface NodeStart extends Omit<NodeConfig, 'tracing'> {
  /** Absent: it listens in clear. */
  readonly tls?: ServerTls | undefined;
  /** Absent: it makes no spans. */
  readonly tracing?: Tracing | undefined;
}

/** A node that listens; disposing it drains it: running requests end (within NODE_LIMITS.drainMs), new ones do not begin. */
export interface RunningNode extends AsyncDisposable {
  readonly port: number;
}
