import { setTimeout as sleep } from 'node:timers/promises';

const ADMIN_TIMEOUT_MS = 1_000;
const POLL_EVERY_MS = 50;

export interface DrainTimes {
  /** How long clients get to notice: for so long new connections are still served. Envoy's own `--drain-time-s`. */
  readonly noticeMs: number;
  /** After that, how long requests under way get to end. */
  readonly requestsMs: number;
}

/** What clients have open: connections, and requests on them that are not answered to the end. */
interface Open {
  readonly connections: number;
  readonly requests: number;
}

/**
 * Lets Envoy finish what it has, because a bare SIGTERM cuts requests off.
 *
 * 1. Readiness turns 503, and every answer tells its client to go (`connection: close`, GOAWAY). Listeners stay open, so
 *    that whoever comes meanwhile is served too. This ends when nobody is connected, or with `noticeMs`.
 * 2. The listeners close. Without this step somebody could connect between the last look and the end.
 * 3. Requests under way get `requestsMs`; connections without any are not waited for.
 *
 * An Envoy that does not answer is not waited for. Resolves when SIGTERM may follow.
 */
export async function drainEnvoy(admin: string, { noticeMs, requestsMs }: DrainTimes): Promise<void> {
  try {
    await ask(`${admin}/healthcheck/fail`, 'POST');
    await ask(`${admin}/drain_listeners?graceful`, 'POST');
    await untilOpen(admin, noticeMs, ({ connections }) => connections === 0);
    await ask(`${admin}/drain_listeners`, 'POST');
    await untilOpen(admin, requestsMs, ({ requests }) => requests === 0);
  } catch {
    // Gone or stuck: SIGTERM and SIGKILL follow.
  }
}

async function untilOpen(admin: string, boundMs: number, isEnough: (open: Open) => boolean): Promise<void> {
  const endsAt = performance.now() + boundMs;
  while (!isEnough(await openAt(admin)) && performance.now() < endsAt) await sleep(POLL_EVERY_MS);
}

/** Sums over all listeners; the connection that asks is one of the admin interface and not counted. */
async function openAt(admin: string): Promise<Open> {
  const filter = encodeURIComponent('^http\\..*\\.downstream_(cx|rq)_active$');
  const lines = (await ask(`${admin}/stats?filter=${filter}`, 'GET')).split('\n');
  const sum = (name: string): number =>
    lines
      .filter((line) => line.includes(`.${name}: `) && !line.startsWith('http.admin.'))
      .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(':') + 1)), 0);
  return { connections: sum('downstream_cx_active'), requests: sum('downstream_rq_active') };
}

async function ask(url: string, method: 'GET' | 'POST'): Promise<string> {
  const response = await fetch(url, { method, signal: AbortSignal.timeout(ADMIN_TIMEOUT_MS) });
  return response.text();
}
