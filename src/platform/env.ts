/**
 * Reads a program's settings from its environment once, completely: every mistake is collected and reported together.
 * Only a program's `config.ts` uses it; nothing else looks at the environment.
 */
export class EnvReader {
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #mistakes: string[] = [];

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  /** A text; without a default it is required. An empty value counts as absent. */
  text(name: string, fallback?: string): string {
    const value = this.optional(name) ?? fallback;
    if (value !== undefined) return value;
    this.#mistakes.push(`${name} is required`);
    return '';
  }

  /** A text or undefined. */
  optional(name: string): string | undefined {
    const value = this.#env[name];
    return value === undefined || value === '' ? undefined : value;
  }

  /** A whole number within bounds (both included). */
  integer(name: string, bounds: { readonly min: number; readonly max: number; readonly fallback?: number }): number {
    const text = this.optional(name);
    if (text === undefined && bounds.fallback !== undefined) return bounds.fallback;
    const value = Number(text ?? Number.NaN);
    if (Number.isInteger(value) && value >= bounds.min && value <= bounds.max) return value;
    this.#mistakes.push(`${name} must be a whole number from ${bounds.min} to ${bounds.max}, not "${text ?? ''}"`);
    return bounds.min;
  }

  /** A rate, `<requests>/<seconds>s`; undefined for `off`. */
  rate(
    name: string,
    bounds: { readonly fallback: string; readonly requestsMax: number; readonly secondsMax: number },
  ): { readonly requests: number; readonly windowMs: number } | undefined {
    const text = this.text(name, bounds.fallback);
    if (text === 'off') return undefined;
    const [, requests, seconds] = /^([1-9]\d{0,8})\/([1-9]\d{0,8})s$/.exec(text) ?? [];
    const rate = { requests: Number(requests), windowMs: 1_000 * Number(seconds) };
    if (rate.requests > bounds.requestsMax || rate.windowMs > 1_000 * bounds.secondsMax || requests === undefined) {
      const most = `${bounds.requestsMax}/${bounds.secondsMax}s`;
      this.#mistakes.push(`${name} must be <requests>/<seconds>s, at most ${most}, or "off", not "${text}"`);
    }
    return rate;
  }

  /** A TCP port; 0 means any free one where the program says so. */
  port(name: string, fallback?: number): number {
    return this.integer(name, { min: 0, max: 65_535, ...(fallback === undefined ? {} : { fallback }) });
  }

  /** One of a closed list. */
  choice<Choice extends string>(name: string, choices: readonly Choice[], fallback: Choice): Choice {
    const text = this.optional(name) ?? fallback;
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    this.#mistakes.push(`${name} must be one of ${choices.join(', ')}, not "${text}"`);
    return fallback;
  }

  /** `host:port`, `[v6]:port` or (where allowed) `unix:/path`. */
  listen(name: string, options: { readonly fallback?: string; readonly unix?: boolean } = {}): ListenAddress {
    const text = this.optional(name) ?? options.fallback;
    if (text === undefined) {
      this.#mistakes.push(`${name} is required`);
      return { host: '', port: 0 };
    }
    if (options.unix === true && text.startsWith('unix:')) return { path: text.slice('unix:'.length) };
    const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
    const port = Number(parts?.[3]);
    const host = parts?.[1] ?? parts?.[2];
    if (host !== undefined && port <= 65_535) return { host, port };
    this.#mistakes.push(`${name} must be host:port${options.unix === true ? ' or unix:/path' : ''}, not "${text}"`);
    return { host: '', port: 0 };
  }

  /** A check across settings, reported with the rest. */
  mistake(text: string): void {
    this.#mistakes.push(text);
  }

  /** @throws ConfigurationError naming every mistake; call it after the last setting was read. */
  finish(): void {
    if (this.#mistakes.length > 0) throw new ConfigurationError(this.#mistakes);
  }
}

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** The environment does not make a configuration: the program prints the message and exits with 2. */
export class ConfigurationError extends Error {
  readonly mistakes: readonly string[];
  constructor(mistakes: readonly string[]) {
    super(`configuration refused:\n${mistakes.map((mistake) => `  - ${mistake}`).join('\n')}`);
    this.name = 'ConfigurationError';
    this.mistakes = mistakes;
  }
}
