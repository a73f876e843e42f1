import { ENDPOINTS, type EndpointRow } from '#domain/endpoints.ts';
import { HEADER } from '#domain/headers.ts';
import { isRecord } from './answer.ts';
import { RefusedError, UnreachableError } from './failures.ts';
import type { AccessTokens } from './session.ts';

/** Added to the endpoint's own time limit, so that the gateway's answer about its time-out arrives before ours. */
const TIMEOUT_MARGIN_MS = 5_000;
const PROBE_TIMEOUT_MS = 2_000;

/** One call of an endpoint of the catalogue. */
export interface Call {
  /** Id of the row in `src/domain/endpoints.ts`: it says method, path and whether a token is needed. */
  readonly endpoint: string;
  /** Values of the `{name}` segments of the path. */
  readonly path?: Readonly<Record<string, string>>;
  /** What stands in the place of a `{name...}`, as it is sent: escaped, and perhaps with a query. */
  readonly rest?: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The API of one gateway. */
export interface Gateway {
  readonly url: string;
  /** @returns the JSON answer (undefined for none). @throws RefusedError, UnreachableError, NotSignedInError */
  call(call: Call): Promise<unknown>;
}

/** `tokens`: undefined for calls of public endpoints only (signing in). */
export function createGateway(options: {
  readonly url: string;
  readonly tokens: AccessTokens | undefined;
  readonly fetch: typeof fetch;
}): Gateway {
  const { url, tokens } = options;
  return {
    url,
    call: async (call) => {
      const row = endpointRow(call.endpoint);
      if (row.access === 'public' || tokens === undefined) return send(options, row, call, undefined);
      const token = await tokens.current();
      try {
        return await send(options, row, call, token);
      } catch (error) {
        const fresh = isStaleToken(error) ? await tokens.replace(token) : undefined;
        if (fresh === undefined) throw error;
        return send(options, row, call, fresh);
      }
    },
  };
}

/** Whether a gateway answers at the URL at all; for looking at several candidates. */
export async function answers(url: string, fetchUrl: typeof fetch): Promise<boolean> {
  try {
    const response = await fetchUrl(`${url}/health`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await response.arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** All items of a paged list, at most `limit` of them. */
export async function listAll(
  gateway: Gateway,
  call: Call,
  limit: number,
): Promise<{ readonly items: readonly unknown[]; readonly more: boolean }> {
  const items: unknown[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < PAGES_MAX_COUNT; pages += 1) {
    const left = limit - items.length;
    const answer = await gateway.call({
      ...call,
      query: { ...call.query, limit: String(Math.min(left, PAGE_COUNT)), cursor },
    });
    const page = isRecord(answer) && Array.isArray(answer['items']) ? answer['items'] : [];
    items.push(...page.slice(0, left));
    const next: unknown = isRecord(answer) ? answer['next_cursor'] : undefined;
    // An empty page may have a successor: the gateway looked at records that are not for this caller.
    cursor = typeof next === 'string' && next !== '' && next !== cursor ? next : undefined;
    if (cursor === undefined || items.length >= limit) break;
  }
  return { items, more: cursor !== undefined };
}

const PAGE_COUNT = 100;
const PAGES_MAX_COUNT = 10_000;

function endpointRow(id: string): EndpointRow {
  const row = ENDPOINTS.find((candidate) => candidate.id === id);
  if (row === undefined) throw new Error(`no endpoint ${id} in the catalogue`);
  return row;
}

const isStaleToken = (error: unknown): boolean =>
  error instanceof RefusedError &&
  error.status === 401 &&
  (error.code === 'token_expired' || error.code === 'token_invalid');

async function send(
  options: { readonly url: string; readonly fetch: typeof fetch },
  row: EndpointRow,
  call: Call,
  token: string | undefined,
): Promise<unknown> {
  const timeoutMs = row.timeoutMs + TIMEOUT_MARGIN_MS;
  try {
    const response = await options.fetch(`${options.url}${pathOf(row, call)}`, {
      method: row.method,
      headers: {
        accept: 'application/json, application/problem+json',
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { [HEADER.authorization]: `Bearer ${token}` }),
        ...call.headers,
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
    return await readAnswer(response);
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    throw new UnreachableError(explain(options.url, error, timeoutMs), { cause: error });
  }
}

function pathOf(row: EndpointRow, call: Call): string {
  const path = row.path.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    const value = call.path?.[name];
    if (value === undefined || value === '') throw new Error(`path parameter ${name} of ${row.id} is missing`);
    return encodeURIComponent(value);
  });
  const whole = path.replace(/\{[a-z_]+\.\.\.\}$/, () => call.rest ?? '');
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(name, value);
  return query.size === 0 ? whole : `${whole}?${query.toString()}`;
}

async function readAnswer(response: Response): Promise<unknown> {
  const text = await response.text();
  const value = parseJson(text);
  if (response.ok) {
    if (text === '' || value !== undefined) return value;
    throw new RefusedError(response.status, strangeAnswer(response, text));
  }
  throw new RefusedError(response.status, isRecord(value) ? value : strangeAnswer(response, text));
}

/** Something between us and the gateway answered, or no gateway at all: show the beginning of what came. */
function strangeAnswer(response: Response, text: string): Readonly<Record<string, unknown>> {
  const type = response.headers.get('content-type') ?? 'no content type';
  return {
    title: 'The answer is not one of the gateway',
    status: response.status,
    detail: `status ${response.status}, ${type}${text === '' ? ', empty body' : `: ${text.slice(0, 200)}`}`,
  };
}

function parseJson(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What to do about a call that got no answer, by the cause that fetch hides one or two levels down. */
function explain(url: string, error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError')
    return `no answer from ${url} within ${timeoutMs / 1000} s`;
  const code = causeCode(error);
  if (code === 'ECONNREFUSED') return `nothing listens at ${url}: is the gateway running?`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `the host name in ${url} is not known`;
  if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ALTNAME/.test(code)) {
    return `the certificate of ${url} is not trusted (${code}): name its authority with --ca FILE`;
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return `cannot reach ${url}: ${code ?? (cause instanceof Error ? cause.message : String(cause))}`;
}

function causeCode(error: unknown): string | undefined {
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 4; cause = cause.cause, depth += 1) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
    // Several addresses tried (IPv6 and IPv4): they nearly always fail alike, so the first speaks for all.
    if (cause instanceof AggregateError) return causeCode(cause.errors[0]);
  }
  return undefined;
}
