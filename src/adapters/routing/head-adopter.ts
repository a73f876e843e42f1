import { LIMITS } from '#domain/limits.ts';
import { StoreError } from '#ports/key-value-store.ts';
import { type AdoptOptions, adoptInlineHead } from './inline-head.ts';

const RETRY_MIN_MS = 50;

/**
 * Runs adoptInlineHead whenever it is asked to, one at a time, and again while the storage does not answer: nobody
 * tells a second time that a table waits in `head`. Give `request` to a RevisionSource as `onForeignHead`.
 */
export class HeadAdopter implements AsyncDisposable {
  readonly #options: AdoptOptions;
  #asked = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(options: AdoptOptions) {
    this.#options = options;
  }

  /** Returns at once. A request during a run is one more run after it, because the table may be another by then. */
  readonly request = (): void => {
    this.#asked = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#asked && !this.#stopped) this.request();
    });
  };

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (this.#asked && !this.#stopped) {
      this.#asked = false;
      try {
        await adoptInlineHead(this.#options);
        failures = 0;
      } catch (error) {
        this.#options.log.warn({ err: error }, 'a table put into head by hand could not be adopted');
        // Anything else is a bug, and trying again would repeat it.
        if (!(error instanceof StoreError) || error.kind === 'invalid') continue;
        this.#asked = true;
        failures += 1;
        await this.#pause(RETRY_MIN_MS * 2 ** Math.min(failures, 10));
      }
    }
  }

  #pause(milliseconds: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(milliseconds, LIMITS.routingLoadRetryMaxMs));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
