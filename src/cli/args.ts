import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { type Command, GLOBAL_OPTIONS, type OptionSpec, type ParsedArgs } from './command.ts';
import { UsageError } from './failures.ts';

/**
 * Options of every command may also stand before the command's name: this puts them behind everything else, where
 * they are parsed with the rest.
 */
export function moveGlobalOptions(words: readonly string[]): readonly string[] {
  let index = 0;
  while (words[index]?.startsWith('-') === true) {
    const name = words[index]?.replace(/^--/, '') ?? '';
    const spec = GLOBAL_OPTIONS[name];
    if (spec === undefined && !name.includes('=')) break;
    index += spec?.value === undefined ? 1 : 2;
  }
  return [...words.slice(index), ...words.slice(0, index)];
}

/** Which command a call means: the longest name that its leading words spell; undefined when none does. */
export function findCommand(commands: readonly Command[], words: readonly string[]): Command | undefined {
  return commands
    .filter((command) => command.name.split(' ').every((word, index) => words[index] === word))
    .toSorted((left, right) => right.name.length - left.name.length)[0];
}

/**
 * Reads the options and positional arguments that follow a command's name.
 * @throws UsageError naming the first thing that does not fit
 */
export function parseCommandLine(command: Command, rest: readonly string[]): ParsedArgs {
  const { values, positionals } = parseStrictly(command, rest);
  const count = command.args.length;
  const needed = command.args.filter((name) => !name.startsWith('['));
  if (!values.has('help') && positionals.length < needed.length) {
    throw new UsageError(`${needed.slice(positionals.length).join(' ')} is missing`, command.name);
  }
  const missing = Object.keys(command.options).find((name) => command.options[name]?.required && !values.get(name));
  if (!values.has('help') && missing !== undefined) throw new UsageError(`--${missing} is missing`, command.name);
  if (positionals.length > count) {
    throw new UsageError(`"${positionals[count] ?? ''}" is one argument too many`, command.name);
  }
  const text = (name: string): string | undefined => {
    const value = values.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    args: positionals,
    text,
    required: (name) => {
      const value = text(name);
      if (value === undefined || value === '') throw new UsageError(`--${name} is missing`, command.name);
      return value;
    },
    count: (name) => {
      const value = text(name);
      return value === undefined ? undefined : parseCount(value, `--${name}`, command.name);
    },
    flag: (name) => values.get(name) === true,
  };
}

/** A whole number of at least 1. @throws UsageError */
export function parseCount(text: string, what: string, command: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw new UsageError(`${what} must be a whole number of at least 1, not "${text}"`, command);
  return value;
}

function parseStrictly(command: Command, rest: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...rest],
      options: optionsConfig({ ...GLOBAL_OPTIONS, ...command.options }),
      allowPositionals: true,
      strict: true,
    });
    return { values: new Map<string, unknown>(Object.entries(values)), positionals };
  } catch (error) {
    // parseArgs explains at length how to pass a positional that begins with a dash; the first sentence is enough.
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message.split('. ')[0]?.split('\n')[0] ?? message, command.name);
  }
}

function optionsConfig(specs: Readonly<Record<string, OptionSpec>>): ParseArgsOptionsConfig {
  return Object.fromEntries(
    Object.entries(specs).map(([name, spec]) => [
      name,
      {
        type: spec.value === undefined ? ('boolean' as const) : ('string' as const),
        ...(name === 'help' ? { short: 'h' } : {}),
      },
    ]),
  );
}
