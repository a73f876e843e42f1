import { type Command, GLOBAL_OPTIONS, type OptionSpec } from './command.ts';

const EXIT_CODES = [
  ['0', 'done'],
  [
    '1',
    'refused by the gateway, not signed in, not ready, an Envoy is behind, a log is wrong or a certificate is not valid',
  ],
  ['2', 'the command line is not valid'],
  ['3', 'the gateway cannot be reached'],
] as const;

const ENVIRONMENT = [
  ['GATEWAY_URL', 'the gateway to talk to, like --url'],
  ['GATEWAY_TOKEN', 'an access token to call with instead of the saved sign-in'],
  ['GATEWAY_DATA', 'data folder whose run.json names a running development gateway (default: .data)'],
  ['XDG_CONFIG_HOME', 'where the sign-in is kept, in gatewayctl/ (default: ~/.config)'],
  ['NO_COLOR', 'no colours'],
] as const;

/** The help of the whole command: what it is, every command in a line, the environment and the exit codes. */
export function programHelp(commands: readonly Command[]): string {
  const rows = commands.map((command) => [synopsis(command), command.summary] as const);
  return [
    "gatewayctl: the operators' command of the gateway.",
    '',
    'Usage: gatewayctl COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    ...section('Commands', rows),
    ...section('Options of every command', optionRows(GLOBAL_OPTIONS)),
    ...section('Environment', ENVIRONMENT),
    ...section('Exit codes', EXIT_CODES),
    'gatewayctl COMMAND --help explains one command.',
    '',
  ].join('\n');
}

/** The help of one command: usage, options, an example and the exit codes. */
export function commandHelp(command: Command): string {
  const options = optionRows(command.options);
  return [
    `gatewayctl ${command.name}: ${command.summary}`,
    '',
    `Usage: gatewayctl ${synopsis(command)} [OPTIONS]`,
    '',
    ...(command.details === undefined ? [] : [command.details, '']),
    ...(options.length === 0 ? [] : section('Options', options)),
    ...section('Options of every command', optionRows(GLOBAL_OPTIONS)),
    ...section('Exit codes', EXIT_CODES),
    'Example:',
    `  gatewayctl ${command.example}`,
    '',
  ].join('\n');
}

/** The commands that share the first word of a call that names none of them, one per line. */
export const nearCommands = (commands: readonly Command[], word: string): readonly string[] =>
  commands.filter((command) => command.name.split(' ')[0] === word).map((command) => synopsis(command));

/** The command with what it cannot do without: `assignments create --user USER --role ROLE`. */
const synopsis = (command: Command): string =>
  [
    command.name,
    ...command.args,
    ...Object.entries(command.options)
      .filter(([, spec]) => spec.required === true)
      .map(([name, spec]) => `--${name} ${spec.value ?? ''}`),
  ].join(' ');

const optionRows = (options: Readonly<Record<string, OptionSpec>>): readonly (readonly [string, string])[] =>
  Object.entries(options).map(([name, spec]) => [
    `${name === 'help' ? '-h, ' : ''}--${name}${spec.value === undefined ? '' : ` ${spec.value}`}`,
    spec.help,
  ]);

function section(title: string, rows: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return [`${title}:`, ...rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`), ''];
}
