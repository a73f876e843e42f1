import type { FieldError } from '#domain/errors.ts';
import { CertificateFolderError } from '#platform/certificates/certificate-folder.ts';
import { isRecord, textOf } from './answer.ts';
import { clean, type Paint } from './render.ts';

/** Exit codes of gatewayctl, printed by every `--help`. */
export const EXIT = { done: 0, refused: 1, usage: 2, unreachable: 3 } as const;

/** The command line itself is wrong: an unknown option, a missing argument, a file that cannot be read. */
export class UsageError extends Error {
  /** Name of the command whose `--help` explains it; absent when no command was recognised. */
  readonly command: string | undefined;
  constructor(message: string, command?: string) {
    super(message);
    this.name = 'UsageError';
    this.command = command;
  }
}

/** The gateway answered, and the answer is no. `problem` is its problem document, or one made of what it sent instead. */
export class RefusedError extends Error {
  readonly status: number;
  readonly problem: Readonly<Record<string, unknown>>;
  constructor(status: number, problem: Readonly<Record<string, unknown>>) {
    super(textOf(problem, 'detail') ?? textOf(problem, 'title') ?? `the gateway answered ${status}`);
    this.name = 'RefusedError';
    this.status = status;
    this.problem = problem;
  }

  /** The code of the closed list (`docs/errors.md`), where the gateway sent one. */
  get code(): string | undefined {
    return textOf(this.problem, 'code');
  }
}

/** There is no session to call with. Ends like a refusal, without asking the gateway. */
export class NotSignedInError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'NotSignedInError';
  }
}

/** No gateway answered: nobody listens, the name is unknown, the time ran out or the certificate is not trusted. */
export class UnreachableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnreachableError';
  }
}

/** The exit code of a failure; anything unexpected counts as refused (1). */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof UnreachableError) return EXIT.unreachable;
  return EXIT.refused;
}

/** The failure as one JSON value: the gateway's own problem document, or one of the same shape for local failures. */
export function failureAsJson(error: unknown): Readonly<Record<string, unknown>> {
  if (error instanceof RefusedError) return error.problem;
  const [code, title] = localKind(error);
  const detail = error instanceof Error ? error.message : String(error);
  return { type: `urn:gatewayctl:error:${code}`, title, detail, code };
}

/** The failure as lines for people: what, then each mistake with its place, then what to quote when asking for help. */
export function failureAsText(error: unknown, paint: Paint): string {
  if (error instanceof RefusedError) return refusalAsText(error, paint);
  const message = error instanceof Error ? error.message : String(error);
  const lines = [`${paint.bad('error:')} ${clean(message, { lines: true })}`];
  if (error instanceof UsageError) {
    lines.push(
      `Run \`gatewayctl ${error.command === undefined ? '' : `${error.command} `}--help\` to see how it is used.`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function refusalAsText(error: RefusedError, paint: Paint): string {
  const { problem } = error;
  const title = textOf(problem, 'title') ?? 'The gateway refused the request';
  const lines = [
    `${paint.bad('error:')} ${clean(title)} (${error.code === undefined ? '' : `${clean(error.code)}, `}${error.status})`,
  ];
  const detail = textOf(problem, 'detail');
  if (detail !== undefined && detail !== title) lines.push(`  ${clean(detail)}`);
  for (const entry of fieldErrors(problem['errors'])) {
    lines.push(
      `  ${paint.strong(clean(entry.pointer === '' ? '(whole document)' : entry.pointer))}: ${clean(entry.detail)}`,
    );
  }
  const ids = ['request_id', 'decision_id'].flatMap((name) => {
    const value = textOf(problem, name);
    return value === undefined ? [] : [`${name} ${clean(value)}`];
  });
  if (ids.length > 0) lines.push(paint.faint(`  ${ids.join(', ')}`));
  return `${lines.join('\n')}\n`;
}

/** Reads `errors[]` of a problem document; entries of another shape are shown as they are rather than dropped. */
function fieldErrors(value: unknown): readonly FieldError[] {
  if (!Array.isArray(value)) return [];
  return value.map((entry: unknown) =>
    isRecord(entry)
      ? {
          pointer: textOf(entry, 'pointer') ?? '',
          code: textOf(entry, 'code') ?? '',
          detail: textOf(entry, 'detail') ?? textOf(entry, 'code') ?? JSON.stringify(entry),
        }
      : { pointer: '', code: '', detail: String(entry) },
  );
}

function localKind(error: unknown): readonly [code: string, title: string] {
  if (error instanceof UsageError) return ['usage', 'The command line is not valid'];
  if (error instanceof UnreachableError) return ['unreachable', 'The gateway cannot be reached'];
  if (error instanceof NotSignedInError) return ['not_signed_in', 'Nobody is signed in'];
  if (error instanceof CertificateFolderError) return ['certificates', 'The certificates cannot be worked with'];
  return ['unexpected', 'gatewayctl failed'];
}
