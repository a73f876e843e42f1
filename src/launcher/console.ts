import type { WriteStream } from 'node:tty';
import type { Ending } from './supervise/supervisor.ts';

/** Lines for the person at the terminal: the launcher is the one program that does not log JSON. */
export interface Console {
  /** A line of the launcher's own. */
  say(text: string): void;
  /** The same for what is not well. */
  warn(text: string): void;
  /** Text as it is: the final screen, the end of a log. */
  print(text: string): void;
}

/** Colours only on a terminal that wants them (https://no-color.org). */
export function createConsole(
  stream: Pick<WriteStream, 'write'> & { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Console {
  const colour = stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const line = (text: string) => void stream.write(`${text}\n`);
  return {
    say: (text) => line(`${paint(2, 'gateway')} ${text}`),
    warn: (text) => line(`${paint(33, 'gateway')} ${text}`),
    print: line,
  };
}

/** How a child ended, in words. */
export function describeEnding(ending: Ending): string {
  if ('error' in ending) return `could not be started: ${ending.error}`;
  return 'signal' in ending ? `was killed by ${ending.signal}` : `ended with exit code ${ending.code}`;
}
