/** A node that listens; disposing it drains it: running requests end (within NODE_LIMITS.drainMs), new ones do not begin. */
export interface RunningNode extends AsyncDisposable {
  readonly port: number;
}
