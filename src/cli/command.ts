import type { Discovery } from './discover.ts';
import type { Gateway } from './gateway-client.ts';
import type { Paint } from './render.ts';
import type { Terminal } from './terminal.ts';
import type { TokenStore } from './token-store.ts';

/** One option of a command. `value` names the argument in the help text; a flag has none. */
export interface OptionSpec {
  readonly value?: string;
  /** The call is refused without it, and the usage line names it. */
  readonly required?: boolean;
  readonly help: string;
}

/** One command: the table of them is the whole command line, and `--help` is made of it. */
export interface Command {
  /** The words that call it: `routing push`. */
  readonly name: string;
  readonly summary: string;
  /** Names of the positional arguments; those in brackets, which are last, may be left out. */
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** What the summary leaves out, in whole sentences. */
  readonly details?: string;
  /** One call that works as printed, without the leading `gatewayctl`. */
  readonly example: string;
  /** Undefined when it has printed everything itself, as it went on. */
  run(context: CommandContext): Promise<CommandResult | undefined>;
}

/** What a command has to say: `json` for `--json`, `text` for people; `exitCode` where success is not the point. */
export interface CommandResult {
  readonly json: unknown;
  text(paint: Paint): string;
  readonly exitCode?: number;
}

/** The arguments of one call, already checked against the command's own table entry. */
export interface ParsedArgs {
  readonly args: readonly string[];
  /** The option's text, or undefined when it was not given. */
  text(name: string): string | undefined;
  /** The option's text. @throws UsageError when it was not given */
  required(name: string): string;
  /** The option as a whole number of at least 1. @throws UsageError */
  count(name: string): number | undefined;
  flag(name: string): boolean;
}

/** What a command works with. The gateway is looked for only when a command asks for it. */
export interface CommandContext {
  readonly parsed: ParsedArgs;
  readonly terminal: Terminal;
  readonly tokens: TokenStore;
  discover(): Promise<Discovery>;
  gateway(): Promise<Gateway>;
  /** Folders that may be the data folder of a development gateway, nearest first. */
  dataFolders(): readonly string[];
  /** Ctrl-C, for a command that ends by it: from this call on it aborts the signal instead of the process. */
  interrupted(): AbortSignal;
  /** Waits so long, or until the signal. */
  pause(milliseconds: number, signal: AbortSignal): Promise<void>;
}

/** Options that every command takes. */
export const GLOBAL_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  url: { value: 'URL', help: 'the gateway to talk to (default: GATEWAY_URL, else a running development gateway)' },
  ca: { value: 'FILE', help: 'PEM file of a certificate authority to trust besides those of the system' },
  json: { help: 'one JSON value on standard output, answer or problem alike' },
  help: { help: 'this text' },
};
