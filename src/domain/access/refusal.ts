import type { ErrorCode, FieldError } from '../errors.ts';

/** Why a request is not let pass, in the words its client is told. */
export interface Refusal {
  readonly reason: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
  /** Where trying again soon makes sense. */
  readonly retryAfterSeconds?: number;
}

export const refusal = (reason: ErrorCode, detail: string): Refusal => ({ reason, detail });
