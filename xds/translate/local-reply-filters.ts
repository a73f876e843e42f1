import { extension, type JsonObject } from './json.ts';

/** A condition on a reply, in the language of access log filters. */
export type ReplyFilter = JsonObject;

/** The message demands a runtime key, by which operators could change the number; nobody sets this one. */
const NO_RUNTIME_KEY = 'gateway.unused';

export const statusIs = (status: number, op: 'EQ' | 'GE' | 'LE' = 'EQ'): ReplyFilter => ({
  status_code_filter: { comparison: { op, value: { default_value: status, runtime_key: NO_RUNTIME_KEY } } },
});

/** Any of Envoy's response flags. */
export const hasFlag = (...flags: string[]): ReplyFilter => ({ response_flag_filter: { flags } });

/** A condition in CEL, for what no other filter can see. */
export const hasDetails = (expression: string): ReplyFilter => ({
  extension_filter: extension(
    'envoy.access_loggers.extension_filters.cel',
    'envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
    { expression },
  ),
});

/** A condition on a request header. */
export const hasHeader = (name: string, matcher: JsonObject): ReplyFilter => ({
  header_filter: { header: { name, ...matcher } },
});

/** All conditions, asked in this order: the cheap ones first. */
export const allOf = (...filters: ReplyFilter[]): ReplyFilter => ({ and_filter: { filters } });
export const anyOf = (...filters: ReplyFilter[]): ReplyFilter => ({ or_filter: { filters } });
