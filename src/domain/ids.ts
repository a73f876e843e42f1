/** Names of tenants, shards and service kinds (design section 1) and the one cluster name made of them. */

export const SERVICE_KINDS = ['aggregate', 'projection', 'runner'] as const;
export type ServiceKind = (typeof SERVICE_KINDS)[number];

/** Lower-case letters, digits, `_` and `-`, 1 to 63 characters, a letter or digit at both ends. */
const NAME = /^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/;

export const isTenantId = (text: string): boolean => NAME.test(text);
export const isShardName = (text: string): boolean => NAME.test(text);
export const isServiceKind = (text: string): text is ServiceKind => (SERVICE_KINDS as readonly string[]).includes(text);

/** The Envoy cluster of a shard: `<kind>/<shard>`, for ever (a renamed cluster is an outage). */
export const clusterName = (kind: ServiceKind, shard: string): string => `${kind}/${shard}`;
