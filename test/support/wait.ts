const POLL_EVERY_MS = 20;

/**
 * Waits until a condition holds: polls it, and fails at the deadline with what was waited for and the last error.
 * @param condition anything but undefined, null and false ends the wait and is returned; a throw counts as "not yet"
 */
export async function until<Value>(
  condition: () => Value | Promise<Value>,
  options: { readonly deadlineMs: number; readonly what: string },
): Promise<Exclude<Value, undefined | null | false>> {
  const endsAt = performance.now() + options.deadlineMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (holds(value)) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= endsAt) {
      throw new Error(`waited ${options.deadlineMs} ms for ${options.what}`, { cause: lastError });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
  }
}

const holds = <Value>(value: Value): value is Exclude<Value, undefined | null | false> =>
  value !== undefined && value !== null && value !== false;
