import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

/** Members that may hold a secret, wherever a log call puts them (at the top or one level down). */
const SECRET_MEMBERS = [
  'password',
  'new_password',
  'token',
  'access_token',
  'refresh_token',
  'bootstrap_token',
  'authorization',
  'cookie',
  'secret',
  'code',
  'state',
  'masterKey',
  'privateKey',
] as const;

const REDACTED_PATHS = [
  ...SECRET_MEMBERS.flatMap((member) => [member, `*.${member}`]),
  'headers["set-cookie"]',
  '*.headers.authorization',
  '*.headers.cookie',
];

/**
 * One JSON line per event on stdout: `level time service replica msg` and what the call adds. Secrets are replaced.
 * Nothing is logged per allowed request: Envoy's access log is the record of those.
 */
export function createLog(options: {
  readonly service: string;
  readonly replica?: string;
  readonly level?: string;
  readonly destination?: DestinationStream;
}): Log {
  const settings = {
    level: options.level ?? 'info',
    base: { service: options.service, ...(options.replica === undefined ? {} : { replica: options.replica }) },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: REDACTED_PATHS, censor: '[redacted]' },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
