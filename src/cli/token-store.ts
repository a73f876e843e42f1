import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isRecord, numberOf, textOf } from './answer.ts';

const SCHEMA = 1;
/** Longer than one refresh may take (its request timeout of 20 s): the next in line waits for it. */
const LOCK_WAIT_MS = 30_000;
/** Longer than the slowest refresh may take (its request timeout), so that a living holder is never robbed. */
const LOCK_STALE_MS = 60_000;
const LOCK_POLL_MS = 25;

/** The sign-in at one gateway. `accessExpiresAtMs`: milliseconds since the Unix epoch, by this machine's clock. */
export interface SavedSession {
  readonly email: string;
  readonly refreshToken: string;
  readonly accessToken: string;
  readonly accessExpiresAtMs: number;
}

/** Sign-ins kept between calls: one file per gateway URL, readable by their owner alone. */
export interface TokenStore {
  load(url: string): Promise<SavedSession | undefined>;
  /** Replaces the file in one step: a reader sees the old or the new session, never half of one. */
  save(url: string, session: SavedSession): Promise<void>;
  remove(url: string): Promise<void>;
  /**
   * Runs `action` while no other gatewayctl does so for the same URL: a refresh token works once, so two commands
   * must not spend the same one. @throws Error when the lock stays taken
   */
  withLock<Value>(url: string, action: () => Promise<Value>): Promise<Value>;
}

/** `folder`: where the files go, made with mode 0700 when it is missing; `wait`: time limits, for tests. */
export function createTokenStore(
  folder: string,
  wait: { readonly lockWaitMs?: number; readonly lockStaleMs?: number } = {},
): TokenStore {
  const fileOf = (url: string): string => join(folder, fileName(url));
  const lockOptions = { waitMs: wait.lockWaitMs ?? LOCK_WAIT_MS, staleMs: wait.lockStaleMs ?? LOCK_STALE_MS };
  return {
    load: (url) => load(fileOf(url), url),
    save: async (url, session) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await replaceFile(fileOf(url), `${JSON.stringify({ schema: SCHEMA, url, ...session }, null, 2)}\n`);
    },
    remove: (url) => rm(fileOf(url), { force: true }),
    withLock: async (url, action) => {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const lock = `${fileOf(url)}.lock`;
      const owner = await takeLock(lock, lockOptions);
      try {
        return await action();
      } finally {
        // Only our own lock is removed: a holder declared dead by mistake must not free its successor's.
        if ((await readLock(lock))?.owner === owner) await rm(lock, { force: true });
      }
    },
  };
}

/** A readable name with a hash behind it, so that two URLs never share a file. */
export function fileName(url: string): string {
  const hash = createHash('sha256').update(url).digest('hex').slice(0, 12);
  return `${url.replaceAll(/[^A-Za-z0-9.-]+/g, '_').slice(0, 80)}.${hash}.json`;
}

async function load(file: string, url: string): Promise<SavedSession | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    // A damaged file is as good as none: signing in again replaces it.
    if (isMissing(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
  const refreshToken = textOf(value, 'refreshToken');
  if (!isRecord(value) || value['schema'] !== SCHEMA || value['url'] !== url || refreshToken === undefined) {
    return undefined;
  }
  return {
    email: textOf(value, 'email') ?? '',
    refreshToken,
    accessToken: textOf(value, 'accessToken') ?? '',
    accessExpiresAtMs: numberOf(value, 'accessExpiresAtMs') ?? 0,
  };
}

async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** A lock is a file made exclusively; one left by a dead command is taken over. @returns the owner mark */
async function takeLock(lock: string, options: { readonly waitMs: number; readonly staleMs: number }): Promise<string> {
  const owner = `${hostname()} ${process.pid} ${randomBytes(6).toString('hex')}`;
  const deadline = Date.now() + options.waitMs;
  for (;;) {
    try {
      await writeFile(lock, owner, { flag: 'wx', mode: 0o600 });
      return owner;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
    await removeStaleLock(lock, options.staleMs);
    if (Date.now() > deadline) {
      throw new Error(`another gatewayctl holds ${lock}; remove the file if none is running`);
    }
    await delay(LOCK_POLL_MS);
  }
}

/**
 * Moves a stale lock aside before it is removed: of two commands that see the same one only one rename hits it. Should
 * the rename have caught a lock made meanwhile, it is put back.
 */
async function removeStaleLock(lock: string, staleMs: number): Promise<void> {
  const seen = await readLock(lock);
  if (seen === undefined || !isStale(seen, staleMs)) return;
  const aside = `${lock}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(lock, aside);
    if ((await readFile(aside, 'utf8')) !== seen.owner) await link(aside, lock);
  } catch (error) {
    if (!isMissing(error) && !hasCode(error, 'EEXIST')) throw error;
  }
  await rm(aside, { force: true });
}

/** Stale: too old, or its holder ran on this machine and runs no more. */
function isStale(lock: { readonly owner: string; readonly atMs: number }, staleMs: number): boolean {
  if (Date.now() - lock.atMs > staleMs) return true;
  const [host, pid] = lock.owner.split(' ');
  if (host !== hostname() || pid === undefined || !/^\d+$/.test(pid)) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return hasCode(error, 'ESRCH');
  }
}

async function readLock(lock: string): Promise<{ readonly owner: string; readonly atMs: number } | undefined> {
  try {
    const [owner, facts] = await Promise.all([readFile(lock, 'utf8'), stat(lock)]);
    return { owner, atMs: facts.mtimeMs };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
const isMissing = (error: unknown): boolean => hasCode(error, 'ENOENT');
