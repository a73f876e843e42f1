import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandContext } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/command-table.ts';
import { createGateway, type Gateway } from '../../../src/cli/gateway-client.ts';
import { createPaint } from '../../../src/cli/render.ts';
import { runCommandLine } from '../../../src/cli/run.ts';
import { fixedToken, savedTokens } from '../../../src/cli/session.ts';
import type { Terminal } from '../../../src/cli/terminal.ts';
import { createTokenStore, type TokenStore } from '../../../src/cli/token-store.ts';

/** One request as the stand-in for the API saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  /** Sent as it is instead of `body`. */
  readonly raw?: string;
  readonly type?: string;
  readonly location?: string;
}

export type Handler = (request: SeenRequest) => Answer | Promise<Answer>;

export interface LocalApi extends AsyncDisposable {
  readonly url: string;
  readonly seen: SeenRequest[];
}

/** A local HTTP server that says what a test needs the API to say, on a free port. */
export async function startLocalApi(handler: Handler): Promise<LocalApi> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => void answer(request, response));
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = '';
    for await (const part of request.setEncoding('utf8')) text += String(part);
    const entry: SeenRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      authorization: request.headers.authorization,
      body: text === '' ? undefined : JSON.parse(text),
    };
    seen.push(entry);
    const {
      status = 200,
      body,
      raw,
      type = status < 400 ? 'application/json' : 'application/problem+json',
      location,
    } = await handler(entry);
    response.writeHead(status, {
      'content-type': type,
      connection: 'close',
      ...(location === undefined ? {} : { location }),
    });
    response.end(raw ?? (body === undefined ? '' : JSON.stringify(body)));
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface TempFolder extends AsyncDisposable {
  readonly path: string;
}

export async function tempFolder(): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), 'gatewayctl-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly url?: string;
  readonly token?: string;
  readonly tokens?: TokenStore;
  readonly input?: string;
  readonly bootstrapToken?: string;
  readonly nowMs?: () => number;
  readonly colour?: boolean;
  readonly dataFolders?: readonly string[];
  /** Ctrl-C of a command that waits for it. */
  readonly interrupted?: AbortSignal;
  /** Instead of any pause a command makes. */
  readonly pauseMs?: number;
  /** Told of each piece of output when it is printed. */
  readonly onOutput?: (text: string) => void;
}

/** Runs one call of gatewayctl in this process against the stand-in and returns what it printed. */
export async function runCli(words: readonly string[], options: RunOptions = {}): Promise<Run> {
  const printed = { out: '', err: '' };
  const terminal: Terminal = {
    paint: createPaint(options.colour ?? false),
    errorPaint: createPaint(options.colour ?? false),
    interactive: false,
    out: (text) => {
      printed.out += text;
      options.onOutput?.(text);
    },
    err: (text) => {
      printed.err += text;
    },
    readInput: async () => options.input ?? '',
    input: async function* () {
      yield Buffer.from(options.input ?? '');
    },
    askSecret: async () => {
      throw new Error('asked');
    },
  };
  const tokens = options.tokens ?? createTokenStore(join(tmpdir(), 'gatewayctl-never-made'));
  const code = await runCommandLine(words, {
    commands: COMMANDS,
    terminal,
    contextFor: async (parsed): Promise<CommandContext> => ({
      parsed,
      terminal,
      tokens,
      discover: async () => ({
        url: options.url ?? 'http://127.0.0.1:9',
        ...(options.bootstrapToken === undefined ? {} : { bootstrapToken: options.bootstrapToken }),
      }),
      gateway: async () => gatewayFor(options, tokens),
      dataFolders: () => options.dataFolders ?? [],
      pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, options.pauseMs ?? milliseconds)),
      interrupted: () => options.interrupted ?? AbortSignal.abort(),
    }),
  });
  return { code, ...printed };
}

function gatewayFor(options: RunOptions, tokens: TokenStore): Gateway {
  const url = options.url ?? 'http://127.0.0.1:9';
  const gateway = createGateway({ url, tokens: undefined, fetch });
  const nowMs = options.nowMs ?? Date.now;
  return createGateway({
    url,
    fetch,
    tokens:
      options.token === undefined ? savedTokens({ url, store: tokens, gateway, nowMs }) : fixedToken(options.token),
  });
}
