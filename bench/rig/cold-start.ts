import type { RunningGateway } from '../../test/support/launcher.ts';
import { until } from '../../test/support/wait.ts';
import { tenantName } from './bench-routing.ts';
import type { EdgeProber } from './edge-prober.ts';
import { monotonicMs } from './harness.ts';

const DEADLINE_MS = 60_000;

/** Milliseconds from the kill. */
export interface ColdStart {
  /** The first routed request was answered. */
  readonly routedMs: number;
  readonly xdsMs: number;
  readonly authzMs: number;
}

/**
 * kill -9 of authz, xds and Envoy in one moment on a quiet gateway, until a query is routed again. The supervisor's
 * pause before a restart (100 ms) is in it; xds may serve the routing on its disk, as it would after any crash.
 */
export async function coldStart(gateway: RunningGateway, prober: EdgeProber): Promise<ColdStart> {
  using _ = prober;
  const { xds, authz } = await gateway.run();
  const startedAtMs = monotonicMs();
  const since = async (what: string, condition: () => Promise<boolean>): Promise<number> => {
    await until(condition, { deadlineMs: DEADLINE_MS, what });
    return monotonicMs() - startedAtMs;
  };
  const isReady = async (url: string) => (await fetch(`${url}/ready`)).ok;
  await Promise.all(['authz', 'xds', 'envoy'].map((name) => gateway.kill(name)));
  const [routedMs, xdsMs, authzMs] = await Promise.all([
    since('the first routed request', async () => (await prober.query(tenantName(0)))?.status === 200),
    since('xds to be ready', () => isReady(xds.http)),
    since('authz to be ready', () => isReady(authz.http)),
  ]);
  return { routedMs, xdsMs, authzMs };
}
