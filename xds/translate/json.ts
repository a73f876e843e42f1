/** Protobuf JSON as Envoy's documentation writes it: original field names, durations as `1.5s`, 64-bit integers as text. */
export type Json = number | string | boolean | null | Json[] | JsonObject;
export type JsonObject = { [member: string]: Json };

/** The content of an Any: Envoy finds the extension by the type. */
export const typed = (type: string, members: JsonObject = {}): JsonObject => ({
  '@type': `type.googleapis.com/${type}`,
  ...members,
});

/** An extension with its configuration, as `TypedExtensionConfig`, `HttpFilter`, `AccessLog` and others spell it. */
export const extension = (name: string, type: string, members: JsonObject = {}): JsonObject => ({
  name,
  typed_config: typed(type, members),
});

/** A duration in protobuf JSON. */
export const seconds = (milliseconds: number): string => `${milliseconds / 1000}s`;

/** Where Envoy gets a resource: over the one ADS stream, waiting for it as long as it takes. */
export const overAds = (): JsonObject => ({ ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' });

/** Sets a header, whatever is there. An empty formatted value leaves the header as it is: Envoy's rule. */
export const setHeader = (key: string, value: string): JsonObject => ({
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  header: { key, value },
});
