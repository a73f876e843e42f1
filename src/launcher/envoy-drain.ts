import { setTimeout as sleep } from 'node:timers/promises';

const ADMIN_TIMEOUT_MS = 1_000;
const POLL_EVERY_MS = 50;

/**
 * Lets Envoy finish what it has: readiness turns 503, listeners close gracefully, and this waits until no client is
 * connected or the bound is reached. A bare SIGTERM would cut requests off. An Envoy that does not answer is not waited
 * for.
 */
export async function drainEnvoy(admin: string, boundMs: number): Promise<void> {
  const endsAt = performance.now() + boundMs;
  try {
    await ask(`${admin}/healthcheck/fail`, 'POST');
    await ask(`${admin}/drain_listeners?graceful`, 'POST');
    while (performance.now() < endsAt && (await clientConnections(admin)) > 0) await sleep(POLL_EVERY_MS);
  } catch {
    // Gone or stuck: SIGTERM and SIGKILL follow.
  }
}

/** Open client connections of all listeners; the connection that asks is one of the admin interface and not counted. */
async function clientConnections(admin: string): Promise<number> {
  const text = await ask(`${admin}/stats?filter=${encodeURIComponent('^http\\..*\\.downstream_cx_active$')}`, 'GET');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('http.admin.'))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(':') + 1)), 0);
}

async function ask(url: string, method: 'GET' | 'POST'): Promise<string> {
  const response = await fetch(url, { method, signal: AbortSignal.timeout(ADMIN_TIMEOUT_MS) });
  return response.text();
}
