import { isServiceKind, isShardName, type ServiceKind } from './ids.ts';

/** The programs that have one identity each, whatever their number of replicas. */
export const PROGRAM_ROLES = ['envoy', 'authz', 'xds', 'nats', 'operator'] as const;

/** What a program is inside the gateway: one of the programs, or the servers of one shard. */
export type InternalRole = (typeof PROGRAM_ROLES)[number] | `node/${ServiceKind}/${string}`;

/** The role of the servers of one shard: no other shard can stand in for it. */
export const nodeRole = (kind: ServiceKind, shard: string): InternalRole => `node/${kind}/${shard}`;

/**
 * The identity that a certificate of the internal CA states: its one URI SAN, a SPIFFE ID of the trust domain `gateway`
 * (https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md section 2).
 */
export const identityOf = (role: InternalRole): string => `spiffe://gateway/${role}`;

/** The identity of the servers behind the cluster `<kind>/<shard>`. */
export const clusterIdentity = (cluster: string): string => `spiffe://gateway/node/${cluster}`;

/** Name of the files of a role's certificate and key, without ending. */
export const certificateName = (role: InternalRole): string => role.replaceAll('/', '-');

/** Reads `envoy`, `authz`, `xds`, `nats`, `operator` or `node/<kind>/<shard>`; undefined when it is none of them. */
export function parseInternalRole(text: string): InternalRole | undefined {
  const program = PROGRAM_ROLES.find((role) => role === text);
  if (program !== undefined) return program;
  const [node, kind = '', shard = '', ...rest] = text.split('/');
  if (node !== 'node' || rest.length > 0 || !isServiceKind(kind) || !isShardName(shard)) return undefined;
  return nodeRole(kind, shard);
}
