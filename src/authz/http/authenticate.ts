import type { EndpointRow } from '#domain/endpoints.ts';
import type { Outcome } from '#domain/errors.ts';
import type { PrincipalKind } from '#domain/identity/records.ts';

/** The caller of a request that was let in. */
export interface Principal {
  readonly id: string;
  readonly kind: PrincipalKind;
  /** Absent for callers without a session (service accounts). */
  readonly sessionId?: string;
  /** How far the right reaches that let the caller in: one tenant (`x-tenant-id`), or null = the whole platform. */
  readonly scope: string | null;
}

/** What a request shows of its caller. */
interface AuthenticateRequest {
  readonly row: EndpointRow;
  readonly authorization: string | undefined;
  readonly tenantId: string | undefined;
}

/**
 * Decides who calls and whether they may, by the same rules as ext_authz: the API can be reached without Envoy, so it
 * believes the bearer token and never an `x-principal-*` header. Not called for public rows.
 */
export type Authenticate = (request: AuthenticateRequest) => Outcome<Principal>;
