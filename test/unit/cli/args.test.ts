import { describe, expect, test } from 'vitest';
import { findCommand, moveGlobalOptions, parseCommandLine } from '../../../src/cli/args.ts';
import type { Command } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/command-table.ts';
import { UsageError } from '../../../src/cli/failures.ts';
import { runCli } from './harness.ts';

const named = (name: string): Command => {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) throw new Error(`no command ${name}`);
  return command;
};

describe('finding the command', () => {
  test('takes the longest name that the words spell', () => {
    expect(findCommand(COMMANDS, ['routing', 'push', 'x.json'])?.name).toBe('routing push');
    expect(findCommand(COMMANDS, ['status'])?.name).toBe('status');
    expect(findCommand(COMMANDS, ['routing', 'status'])?.name).toBe('routing status');
  });

  test('finds none for half a name', () => {
    expect(findCommand(COMMANDS, ['routing'])).toBeUndefined();
    expect(findCommand(COMMANDS, [])).toBeUndefined();
  });

  test('options of every command may stand before its name', () => {
    expect(moveGlobalOptions(['--json', '--url', 'http://x', 'routing', 'show'])).toEqual([
      'routing',
      'show',
      '--json',
      '--url',
      'http://x',
    ]);
    expect(moveGlobalOptions(['--url=http://x', 'status'])).toEqual(['status', '--url=http://x']);
  });
});

describe('parsing the arguments', () => {
  test('reads texts, flags, numbers and positional arguments', () => {
    const parsed = parseCommandLine(named('routing move'), ['acme', '--projection', 's2', '--json', '--note=why']);
    expect(parsed.args).toEqual(['acme']);
    expect(parsed.text('projection')).toBe('s2');
    expect(parsed.text('aggregate')).toBeUndefined();
    expect(parsed.text('note')).toBe('why');
    expect(parsed.flag('json')).toBe(true);
    expect(parseCommandLine(named('routing list'), ['--limit', '7']).count('limit')).toBe(7);
  });

  test('a single dash is an argument: standard input', () => {
    expect(parseCommandLine(named('routing push'), ['-']).args).toEqual(['-']);
  });

  test.each([
    ['routing push', [], 'FILE is missing'],
    ['routing push', ['a', 'b'], '"b" is one argument too many'],
    ['routing push', ['a', '--nope'], "Unknown option '--nope'"],
    ['routing push', ['a', '--note'], "Option '--note <value>' argument missing"],
    ['login', [], '--email is missing'],
    ['login', ['--email', ''], '--email is missing'],
  ] as const)('%s %j is refused: %s', (name, words, message) => {
    expect(() => parseCommandLine(named(name), words)).toThrow(new UsageError(message, name));
  });

  test.each(['0', '-1', '1.5', 'many', ''])('a count must be a whole number of at least 1, not %j', (text) => {
    expect(() => parseCommandLine(named('routing list'), [`--limit=${text}`]).count('limit')).toThrow(UsageError);
  });

  test('--help asks for nothing else', () => {
    expect(parseCommandLine(named('routing push'), ['--help']).flag('help')).toBe(true);
    expect(parseCommandLine(named('login'), ['-h']).flag('help')).toBe(true);
  });
});

describe('help', () => {
  test.each(COMMANDS.map((command) => command.name))(
    '%s --help explains usage, options, exit codes and an example',
    async (name) => {
      const { code, out } = await runCli([...name.split(' '), '--help']);
      expect(code).toBe(0);
      const command = named(name);
      expect(out).toContain(`Usage: gatewayctl ${name}`);
      for (const option of [...Object.keys(command.options), 'json', 'url', 'ca']) expect(out).toContain(`--${option}`);
      expect(out).toContain('3  the gateway cannot be reached');
      expect(out).toContain(`gatewayctl ${command.example}`);
    },
  );

  test.each(COMMANDS)('the example of "$name" is a valid call', (command) => {
    const words = [...command.example.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
    expect(findCommand(COMMANDS, words)).toBe(command);
    expect(() => parseCommandLine(command, words.slice(command.name.split(' ').length))).not.toThrow();
  });

  test('the general help names every command; without a command it goes to standard error with code 2', async () => {
    const asked = await runCli(['--help']);
    expect(asked.code).toBe(0);
    for (const { name } of COMMANDS) expect(asked.out).toContain(name);
    const bare = await runCli([]);
    expect(bare).toMatchObject({ code: 2, out: '', err: asked.out });
  });

  test('half a command with --help lists the commands it begins', async () => {
    const { code, out } = await runCli(['routing', '--help']);
    expect(code).toBe(0);
    expect(out).toContain('routing rollback REVISION');
    expect(out).not.toContain('users list');
  });

  test('an unknown command names its neighbours', async () => {
    const { code, err } = await runCli(['routing', 'pull']);
    expect(code).toBe(2);
    expect(err).toContain('no command "routing pull"; there are: routing push FILE');
  });
});
