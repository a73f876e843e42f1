import { findCommand, moveGlobalOptions, parseCommandLine } from './args.ts';
import type { Command, CommandContext, ParsedArgs } from './command.ts';
import { EXIT, exitCodeOf, failureAsJson, failureAsText, UsageError } from './failures.ts';
import { commandHelp, nearCommands, programHelp } from './help.ts';
import type { Terminal } from './terminal.ts';

/** What a call gets besides its arguments: everything that depends on the machine. */
export interface Surroundings {
  readonly commands: readonly Command[];
  readonly terminal: Terminal;
  /** Makes what a command works with, from its checked arguments. */
  readonly contextFor: (parsed: ParsedArgs) => Promise<CommandContext>;
}

/** Runs one call of gatewayctl and prints its result or failure. @returns the exit code */
export async function runCommandLine(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { commands, terminal } = surroundings;
  const words = moveGlobalOptions(argv);
  if (words.length === 0) {
    terminal.err(programHelp(commands));
    return EXIT.usage;
  }
  if (words[0] === 'help') {
    terminal.out(programHelp(commands));
    return EXIT.done;
  }
  // A failed parse must still be reported as JSON when JSON was asked for.
  const asJson = words.includes('--json');
  try {
    return await runCommand(words, asJson, surroundings);
  } catch (error) {
    if (asJson) terminal.out(`${JSON.stringify(failureAsJson(error))}\n`);
    else terminal.err(failureAsText(error, terminal.errorPaint));
    return exitCodeOf(error);
  }
}

async function runCommand(words: readonly string[], asJson: boolean, surroundings: Surroundings): Promise<number> {
  const { commands, terminal } = surroundings;
  const command = findCommand(commands, words);
  if (command === undefined && (words.includes('--help') || words.includes('-h'))) {
    const group = commands.filter((candidate) => candidate.name.startsWith(`${words[0] ?? ''} `));
    terminal.out(programHelp(group.length === 0 ? commands : group));
    return EXIT.done;
  }
  if (command === undefined) throw unknownCommand(commands, words);
  const parsed = parseCommandLine(command, words.slice(command.name.split(' ').length));
  if (parsed.flag('help')) {
    terminal.out(commandHelp(command));
    return EXIT.done;
  }
  const result = await command.run(await surroundings.contextFor(parsed));
  if (result === undefined) return EXIT.done;
  terminal.out(asJson ? `${JSON.stringify(result.json ?? null)}\n` : result.text(terminal.paint));
  return result.exitCode ?? EXIT.done;
}

function unknownCommand(commands: readonly Command[], words: readonly string[]): UsageError {
  const first = words[0] ?? '';
  if (first.startsWith('-')) return new UsageError(`no command given, only ${first}`);
  const named = words.filter((word) => !word.startsWith('-')).slice(0, 2);
  const near = nearCommands(commands, first);
  const hint = near.length === 0 ? '' : `; there ${near.length === 1 ? 'is' : 'are'}: ${near.join(', ')}`;
  return new UsageError(`no command "${named.join(' ') || first}"${hint}`);
}
