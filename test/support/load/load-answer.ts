import type { ServiceKind } from '#domain/ids.ts';

/** The kinds that are asked under load: queries over HTTP/1.1, commands over gRPC. */
export type LoadKind = Extract<ServiceKind, 'aggregate' | 'projection'>;

export const LOAD_KINDS: readonly LoadKind[] = ['aggregate', 'projection'];

/** What is asked, of whom and how fast. */
export interface LoadSpec {
  /** URL of the clear listener. */
  readonly http: string;
  readonly token: string;
  /** Asked in turn. */
  readonly tenants: readonly string[];
  /** Of both kinds together, at a steady rate whatever the answers take. */
  readonly requestsPerSecond: number;
}

/** One request under load and what became of it. */
export interface LoadAnswer {
  /** Its correlation id, by which it is found in the access log. */
  readonly id: string;
  readonly kind: LoadKind;
  readonly tenant: string;
  /** The connection of a query: its requests follow one another. Commands share theirs. */
  readonly connection: number;
  readonly isServed: boolean;
  /** `200`, `grpc 14`, or what kept an answer from coming. */
  readonly status: string;
  /** `<kind>/<shard>` as the node calls itself, '' without. */
  readonly servedBy: string;
  /** The routing revision it was decided by. */
  readonly revision: number;
  /** The placement epoch that the node was told; queries only, because a command's answer does not repeat it. */
  readonly epoch?: number;
  /** Of what was not served: the start of what was answered. */
  readonly body?: string;
  /** Unix time in ms. */
  readonly sentAt: number;
  readonly tookMs: number;
}

/** From the worker to the test. */
export type LoadMessage = { readonly answers: readonly LoadAnswer[] } | { readonly isDone: true };
