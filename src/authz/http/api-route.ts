import type { ErrorCode, Outcome } from '#domain/errors.ts';
import type { CallContext } from '#domain/identity/audit.ts';
import type { Principal } from './authenticate.ts';
import type { JsonSchema, Schema } from './schema.ts';

/** One request as a handler sees it: validated, with its caller. */
export interface ApiCall<Body = unknown, Query = unknown> {
  readonly body: Body;
  readonly query: Query;
  /** Path parameters, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Undefined on public rows only. */
  readonly principal: Principal | undefined;
  readonly context: CallContext;
  readonly header: (name: string) => string | undefined;
}

export interface ApiAnswer {
  readonly status: number;
  /** Absent: no body. A text is sent as it is, with the content type in `headers`; anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One endpoint: the row of the catalogue it serves, what it takes and gives, and its handler. */
export interface ApiRoute {
  readonly id: string;
  readonly summary: string;
  readonly body?: JsonSchema;
  readonly query?: JsonSchema;
  readonly responses: Readonly<Record<number, ApiResponse>>;
  readonly errors: readonly ErrorCode[];
  readonly handle: (call: ApiCall) => Outcome<ApiAnswer> | Promise<Outcome<ApiAnswer>>;
}

interface ApiResponse {
  readonly description: string;
  readonly schema?: JsonSchema;
  readonly contentType?: string;
}

interface RouteDefinition<Body, Query> {
  readonly id: string;
  readonly summary: string;
  readonly body?: Schema<Body>;
  readonly query?: Schema<Query>;
  readonly responses: Readonly<
    Record<number, { readonly description: string; readonly schema?: Schema<unknown>; readonly contentType?: string }>
  >;
  /** Besides those that every endpoint can answer (see openapi.ts). */
  readonly errors?: readonly ErrorCode[];
  readonly handle: (call: ApiCall<Body, Query>) => Outcome<ApiAnswer> | Promise<Outcome<ApiAnswer>>;
}

/** Declares an endpoint; the handler's types follow from its schemas. */
export function defineRoute<Body = undefined, Query = Record<string, never>>(
  route: RouteDefinition<Body, Query>,
): ApiRoute {
  const responses = Object.entries(route.responses).map(([status, response]) => [
    status,
    {
      description: response.description,
      ...(response.schema === undefined ? {} : { schema: response.schema.json }),
      ...(response.contentType === undefined ? {} : { contentType: response.contentType }),
    },
  ]);
  return {
    id: route.id,
    summary: route.summary,
    ...(route.body === undefined ? {} : { body: route.body.json }),
    ...(route.query === undefined ? {} : { query: route.query.json }),
    responses: Object.fromEntries(responses),
    errors: route.errors ?? [],
    // The server has validated body and query against these very schemas before it calls the handler.
    handle: (call) => route.handle(call as ApiCall<Body, Query>),
  };
}
