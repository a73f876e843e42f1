import { rm } from 'node:fs/promises';
import type { ServiceKind } from '#domain/ids.ts';
import { replaceFile } from '#platform/replace-file.ts';

/** `$GATEWAY_DATA/run.json`: what runs where, for gatewayctl, tests and people. Only there while the gateway runs. */
export interface RunFile {
  readonly http: string;
  readonly https: string;
  /** Path of the development CA's certificate. */
  readonly ca: string;
  /** A certificate to connect to the parts with, where everything inside is TLS (GATEWAY_INTERNAL_TLS=on). */
  readonly internalTls?: { readonly ca: string; readonly certificate: string; readonly key: string };
  readonly nats: string;
  /** `grpc` is host:port, `http` a URL. */
  readonly xds: { readonly grpc: string; readonly http: string };
  readonly authz: { readonly http: string };
  readonly envoyAdmin: string;
  readonly nodes: readonly { readonly kind: ServiceKind; readonly shard: string; readonly address: string }[];
  readonly bootstrapToken: string;
  readonly mailDir: string;
  /** Running children: nats, xds, authz, envoy, hasher, node.<kind>.<shard>. */
  readonly pids: Readonly<Record<string, number>>;
}

/** Writes the file one version after the other, each as a whole: readers never see a part or an older one again. */
export class RunFileWriter {
  readonly #path: string;
  #writes: Promise<void> = Promise.resolve();
  #removed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Replaces the content. Does nothing once the file was removed for good. */
  write(content: RunFile): Promise<void> {
    return this.#next(() =>
      // The bootstrap token is in it: readable by the owner alone.
      this.#removed ? Promise.resolve() : replaceFile(this.#path, `${JSON.stringify(content, null, 2)}\n`, 0o600),
    );
  }

  /** Removes what a killed launcher left. */
  clear(): Promise<void> {
    return this.#next(() => rm(this.#path, { force: true }));
  }

  /** Removes the file, for good. */
  remove(): Promise<void> {
    this.#removed = true;
    return this.clear();
  }

  #next(action: () => Promise<void>): Promise<void> {
    this.#writes = this.#writes.then(action, action);
    return this.#writes;
  }
}
