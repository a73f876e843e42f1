import type { Outcome } from '#domain/errors.ts';

/**
 * Argon2id somewhere else than in this process, with bounded work in flight. Failures are `overloaded`: the queue is
 * full or the hasher does not answer, and nothing is known about the password.
 */
export interface PasswordHasher {
  /** Hashes a normalised password with the current parameters; a PHC string. */
  hash(password: string): Promise<Outcome<string>>;
  /**
   * Compares a normalised password with a PHC string; `outdated` when its parameters are not the current ones.
   * Without a hash it does the same work with the current parameters and answers that nothing matches.
   */
  verify(
    password: string,
    hash: string | undefined,
  ): Promise<Outcome<{ readonly matches: boolean; readonly outdated: boolean }>>;
}
