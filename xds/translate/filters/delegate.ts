import { extension, type Json, type JsonObject, typed } from '../json.ts';

/** A condition on one header, of the request or of the response, in the language of xDS matchers. */
export const headerIs = (
  side: 'Request' | 'Response',
  { header, value }: { readonly header: string; readonly value: JsonObject },
): JsonObject => ({
  single_predicate: {
    input: {
      name: header,
      typed_config: typed(`envoy.type.matcher.v3.Http${side}HeaderMatchInput`, { header_name: header }),
    },
    value_match: value,
  },
});

/** Matches a whole value. The engine must be named in these matchers, unlike in routes. */
export const regex = (expression: string): JsonObject => ({ safe_regex: { google_re2: {}, regex: expression } });

export const not = (predicate: Json): JsonObject => ({ not_matcher: predicate });

/** A filter that is passed by where the condition holds. */
export const unless = (skip: JsonObject, name: string, filter: JsonObject): JsonObject =>
  extension(name, 'envoy.extensions.common.matching.v3.ExtensionWithMatcher', {
    extension_config: filter,
    xds_matcher: {
      matcher_list: {
        matchers: [
          {
            predicate: skip,
            on_match: { action: extension('skip', 'envoy.extensions.filters.common.matcher.action.v3.SkipFilter') },
          },
        ],
      },
    },
  });
