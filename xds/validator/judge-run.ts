import { LIMITS } from '#domain/limits.ts';

/** How one `envoy --mode validate` ended. */
export type EnvoyRun =
  /** It could not be started, or was stopped by us. */
  | { readonly ended: 'failed'; readonly reason: string }
  | { readonly ended: 'too_late' }
  | { readonly ended: 'signal'; readonly signal: string }
  | { readonly ended: 'exit'; readonly exitCode: number; readonly output: string; readonly errors: string };

export type RunVerdict =
  | { readonly state: 'valid' }
  | { readonly state: 'invalid'; readonly error: string }
  | { readonly state: 'unavailable'; readonly detail: string };

/** The line of Envoy's log that says why; what follows it up to the next line of the log belongs to it. */
const COMPLAINT = /error initializing configuration '[^']*': ([\s\S]*?)(?:\n\[\d{4}-\d\d-\d\d |$)/;
const APPROVAL = /^configuration '[^']*' OK\s*$/m;

/** What a run says about its bootstrap: only Envoy's own complaint about a configuration makes one invalid. */
export function judgeRun(run: EnvoyRun): RunVerdict {
  switch (run.ended) {
    case 'failed':
      return unavailable(run.reason);
    case 'too_late':
      return unavailable(`Envoy did not come to an end within ${LIMITS.envoyValidationMaxMs} ms`);
    case 'signal':
      return unavailable(`Envoy was ended by ${run.signal}`);
    case 'exit': {
      if (run.exitCode === 0) {
        return APPROVAL.test(run.output)
          ? { state: 'valid' }
          : unavailable('the validator does not answer as Envoy does');
      }
      const complaint = COMPLAINT.exec(run.errors)?.[1];
      return complaint === undefined
        ? unavailable(`Envoy ended with exit code ${run.exitCode} and without a complaint about its configuration`)
        : { state: 'invalid', error: errorText(complaint) };
    }
  }
}

/** One line, as long as a quarantine's. */
export const errorText = (text: string): string =>
  text.replaceAll(/\s+/g, ' ').trim().slice(0, LIMITS.quarantineErrorMaxChars);

const unavailable = (detail: string): RunVerdict => ({ state: 'unavailable', detail });
