import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import type { CommandContext, ParsedArgs } from './command.ts';
import { COMMANDS } from './command-table.ts';
import { candidateFolders, discover } from './discover.ts';
import { UsageError } from './failures.ts';
import { answers, createGateway } from './gateway-client.ts';
import { runCommandLine } from './run.ts';
import { fixedToken, savedTokens } from './session.ts';
import { createTerminal, type Terminal } from './terminal.ts';
import { createTokenStore } from './token-store.ts';

const { env } = process;

/** An empty variable counts as absent. */
const setting = (name: string): string | undefined => (env[name] === '' ? undefined : env[name]);

async function contextFor(parsed: ParsedArgs, terminal: Terminal): Promise<CommandContext> {
  await trustAuthority(parsed.text('ca'));
  const tokens = createTokenStore(join(setting('XDG_CONFIG_HOME') ?? join(homedir(), '.config'), 'gatewayctl'));
  const folders = {
    dataFolder: setting('GATEWAY_DATA'),
    currentFolder: process.cwd(),
    cloneFolder: fileURLToPath(new URL('../..', import.meta.url)),
  };
  const search = once(() =>
    discover({
      ...folders,
      url: parsed.text('url') ?? setting('GATEWAY_URL'),
      answers: (url) => answers(url, fetch),
    }),
  );
  return {
    parsed,
    terminal,
    tokens,
    discover: search,
    dataFolders: () => candidateFolders(folders),
    gateway: async () => {
      const { url } = await search();
      const token = setting('GATEWAY_TOKEN');
      const signingIn = createGateway({ url, tokens: undefined, fetch });
      return createGateway({
        url,
        tokens:
          token === undefined
            ? savedTokens({ url, store: tokens, gateway: signingIn, nowMs: Date.now })
            : fixedToken(token),
        fetch,
      });
    },
    interrupted: () => {
      const ending = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort());
      return ending.signal;
    },
    pause: (milliseconds, signal) => sleep(milliseconds, undefined, { signal }).catch(() => {}),
  };
}

/** The built-in fetch takes its authorities from the process, so the file is added there before the first call. */
async function trustAuthority(file: string | undefined): Promise<void> {
  if (file === undefined) return;
  try {
    setDefaultCACertificates([...getCACertificates('default'), await readFile(file, 'utf8')]);
  } catch (error) {
    throw new UsageError(`--ca ${file} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Looks once, however often the result is asked for. */
function once<Value>(look: () => Promise<Value>): () => Promise<Value> {
  let found: Promise<Value> | undefined;
  return () => {
    found ??= look();
    return found;
  };
}

// A reader that has seen enough (`| head`) closes the pipe; that is no failure of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const terminal = createTerminal({ stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env });
// The code is set, not exited with: output to a pipe must be written to its end first.
process.exitCode = await runCommandLine(process.argv.slice(2), {
  commands: COMMANDS,
  terminal,
  contextFor: (parsed) => contextFor(parsed, terminal),
});
