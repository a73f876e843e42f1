/** Bounds of a reference node. It keeps everything in memory, so each of them says what is forgotten beyond it. */
export const NODE_LIMITS = {
  /** Beyond it the aggregate longest unused is forgotten and would begin at version 0 again. */
  aggregatesMaxCount: 200_000,
  /** Beyond it the oldest event of the aggregate is forgotten (its version stays). */
  eventsPerAggregateMaxCount: 100,
  /** Beyond it the oldest command is forgotten, and a repeat of it would be executed again. */
  commandsRememberedMaxCount: 100_000,
  /** Beyond it the tenant longest unused is forgotten, and with it the newest epoch seen. */
  tenantsMaxCount: 200_000,
  /** Longest delay that a caller may ask for: longer than every timeout of the gateway. */
  delayMaxMs: 30_000,
  /** Time that running requests get to end after SIGTERM. */
  drainMs: 5_000,
  /** Idle HTTP/1.1 connections live longer than in any proxy in front. */
  keepAliveMs: 3_600_000,
  /** Time a new connection has to show which HTTP it speaks. */
  firstByteTimeoutMs: 10_000,
  /** What one HTTP/2 connection may hold: answers to many clients that take none yet. */
  http2SessionMaxMegabytes: 1_024,
} as const;
