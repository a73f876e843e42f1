import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { createTokenVerifier } from '#adapters/crypto/token-verifier.ts';
import { AccessIndex } from '#domain/access/access-index.ts';
import { compileEndpoints } from '#domain/access/match-endpoint.ts';
import { COMMAND_GRPC_PATH, ENDPOINTS } from '#domain/endpoints.ts';
import { accessTokenClaims } from '#domain/identity/access-token.ts';
import { encodeRecord } from '#domain/identity/record-codec.ts';
import {
  type AssignmentRecord,
  IAM_SCHEMA,
  iamKey,
  type SigningKeyRecord,
  type UserRecord,
} from '#domain/identity/records.ts';
import { placementTableOf } from '#domain/routing/placement-table.ts';
import type { RoutingSnapshot, TenantPlacements } from '#domain/routing/types.ts';
import { createMetrics } from '#platform/metrics.ts';
import { decodeToJson, encodeJson, loadRegistry } from '#platform/proto-registry.ts';
import type { ReplicaState } from '#ports/replica-board.ts';
import { type Check, createCheck } from '../../src/authz/ext-authz/check.ts';
import type { CheckObserver, DenialRecord } from '../../src/authz/ext-authz/check-observer.ts';
import { createDecisionIds } from '../../src/authz/ext-authz/decision-ids.ts';
import { createRateGuard, type RateLimits } from '../../src/authz/ext-authz/rate-guard.ts';
import { SnapshotKeeper } from '../../src/authz/ext-authz/snapshot-keeper.ts';
import { FIELD_EXTRACTION } from '../../src/authz/ext-authz/wire/scan-extracted-fields.ts';

export const ISSUER = 'https://gateway.example';
export const NOW_SECONDS = 1_800_000_000;

export const registry = loadRegistry([readFileSync(new URL('../../proto/envoy-api.binpb', import.meta.url))]);

/** The bytes Envoy would send for a request given in protobuf JSON. */
export const encodeCheck = (json: JsonObject): Buffer =>
  Buffer.from(encodeJson(registry, 'envoy.service.auth.v3.CheckRequest', json));

/** What Envoy would read of an answer. */
export const decodeAnswer = (bytes: Uint8Array): JsonValue =>
  decodeToJson(registry, 'envoy.service.auth.v3.CheckResponse', bytes);

/** An ES256 key pair and its stored record. */
export interface TestKey {
  readonly record: SigningKeyRecord;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** @param pem a private key made before, where two processes have to share one */
export function newKey(kid: string, pem?: string): TestKey {
  const privateKey =
    pem === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : createPrivateKey(pem);
  const publicKey = createPublicKey(privateKey);
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const record = {
    schema: IAM_SCHEMA,
    kid,
    algorithm: 'ES256',
    publicJwk: { kty: 'EC', crv: 'P-256', x, y },
    sealedPrivateKey: 'sealed',
    createdAt: '2026-01-01T00:00:00Z',
  } as const;
  return { record, privateKey, publicKey };
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A compact JWS with whatever header and claims. */
export function signToken(key: TestKey, claims: object, header: object = {}): string {
  const input = `${part({ alg: 'ES256', typ: 'at+jwt', kid: key.record.kid, ...header })}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

/** The claims the gateway mints for a session of a user. */
export const claimsOf = (userId: string, overrides: object = {}): object => ({
  ...accessTokenClaims({
    issuer: ISSUER,
    tokenId: 'jti_aaaaaaaaaaaaaaaaaaaaaaaaaa',
    session: { id: `ses_${userId}`, userId, authTime: NOW_SECONDS - 60, amr: ['pwd'] },
    nowSeconds: NOW_SECONDS - 60,
  }),
  ...overrides,
});

export const userRecord = (id: string, overrides: Partial<UserRecord> = {}): UserRecord => ({
  schema: IAM_SCHEMA,
  id,
  email: `${id}@example.org`,
  emailVerified: true,
  status: 'active',
  tokensValidAfter: 0,
  createdAt: '2026-01-01T00:00:00Z',
  ...overrides,
});

export const assignmentRecord = (
  id: string,
  [principalId, tenantId, roleId]: readonly [string, string | null, string],
): AssignmentRecord => ({
  schema: IAM_SCHEMA,
  id,
  principalId,
  tenantId,
  roleId,
  createdAt: '2026-01-01T00:00:00Z',
  createdBy: 'usr_root',
});

/** A revision with these placements and nothing else worth looking at. */
export function snapshotOf(revision: number, placements: Readonly<Record<string, TenantPlacements>>): RoutingSnapshot {
  return {
    revision,
    parent: revision - 1,
    manifest: `m${revision}`,
    kindRevisions: { aggregate: revision, projection: revision, runner: revision },
    at: '2026-01-01T00:00:00Z',
    by: 'test',
    note: '',
    shards: { aggregate: new Map(), projection: new Map(), runner: new Map() },
    placements: placementTableOf(Object.entries(placements)),
  };
}

/** A routing source that a test pushes revisions into. */
export function routingSource(first?: RoutingSnapshot) {
  let current = first;
  const listeners = new Set<(snapshot: RoutingSnapshot) => void>();
  return {
    current: () => current,
    onRevision: (listener: (snapshot: RoutingSnapshot) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    push: (snapshot: RoutingSnapshot) => {
      current = snapshot;
      for (const listener of listeners) listener(snapshot);
    },
  };
}

/** A board on which a test writes what xds servers report. */
export function replicaBoard() {
  let states: readonly ReplicaState[] = [];
  const listeners = new Set<() => void>();
  return {
    live: () => states,
    onChange: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    report: (...oldestStamps: readonly number[]) => {
      states = oldestStamps.map((oldestStamp, index) => ({
        role: 'xds' as const,
        replica: `xds-${index}`,
        routingRevision: oldestStamp,
        oldestStamp,
        seenAtMs: 0,
      }));
      for (const listener of listeners) listener();
    },
  };
}

export const at = (shard: string, epoch: number) => ({ shard, epoch });

const PLENTY = { requests: 10_000_000, windowMs: 1_000 } as const;
/** As in production all limits are there: a check that is measured pays for them. */
const AMPLE: RateLimits = { principal: PLENTY, tenant: PLENTY, address: PLENTY, credentials: PLENTY };

/** Everything a check needs, around one access index that a test may change. */
export function checkFixture(
  options: {
    readonly pem?: string;
    readonly observer?: CheckObserver;
    /** Absent: limits that nobody reaches. */
    readonly rateLimits?: RateLimits;
  } = {},
) {
  const key = newKey('key-1', options.pem);
  const clock = { ms: NOW_SECONDS * 1000, nowMs: (): number => clock.ms };
  const index = new AccessIndex(() => {});
  let revision = 0;
  const put = (key: string, record: { readonly schema: typeof IAM_SCHEMA }) => {
    revision += 1;
    index.apply([{ key, revision, value: encodeRecord(record) }]);
  };
  put(iamKey.signingKey('key-1'), key.record);
  for (const id of ['usr_member', 'usr_outsider', 'usr_admin']) put(iamKey.user(id), userRecord(id));
  put(iamKey.assignment('usr_member', 'asg_1'), assignmentRecord('asg_1', ['usr_member', 'acme', 'tenant-member']));
  put(iamKey.assignment('usr_admin', 'asg_2'), assignmentRecord('asg_2', ['usr_admin', null, 'platform-admin']));
  index.endLoad();
  const source = routingSource(
    snapshotOf(7, { acme: { aggregate: at('s1', 3), projection: at('s1', 7) }, globex: { aggregate: at('s2', 1) } }),
  );
  const board = replicaBoard();
  const keeper = new SnapshotKeeper({ source, board, clock });
  const denials: DenialRecord[] = [];
  const state = { stalenessMs: 0 };
  /** The routing revisions that requests were decided by. */
  const used: (readonly [revision: number, atMs: number])[] = [];
  const metrics = createMetrics('test');
  const check: Check = createCheck({
    endpoints: compileEndpoints(ENDPOINTS),
    access: index,
    accessStalenessMs: () => state.stalenessMs,
    maxStalenessMs: 600_000,
    tokens: createTokenVerifier({ issuer: ISSUER, signingKey: (kid) => index.signingKey(kid) }),
    routing: keeper,
    revisionUse: { decided: (revision, atMs) => void used.push([revision, atMs]) },
    rates: createRateGuard({ limits: options.rateLimits ?? AMPLE, sharers: () => 1, metrics }),
    clock,
    newDecisionId: createDecisionIds(),
    observer: {
      allowed: (durationMs) => options.observer?.allowed(durationMs),
      denied: (denial, durationMs) => {
        denials.push(denial);
        options.observer?.denied(denial, durationMs);
      },
    },
  });
  const tokenOf = (userId: string, overrides: object = {}) => signToken(key, claimsOf(userId, overrides));
  return { metrics, key, clock, index, put, source, board, keeper, check, denials, used, state, tokenOf };
}

export interface TestRequest {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly extensions?: Readonly<Record<string, string>>;
  readonly fields?: Readonly<Record<string, readonly string[]>>;
  /** Whether headers travel as `header_map` with raw values (as we configure Envoy) or as the plain map. */
  readonly raw?: boolean;
}

/** A CheckRequest as Envoy sends it, in protobuf JSON. */
export function checkJson(request: TestRequest): JsonObject {
  const { method = 'POST', path = '/v1/query/orders', headers = [], raw = true } = request;
  const extensions = request.extensions ?? { stamp: '7', target: 'projection' };
  const fields = Object.entries(request.fields ?? {}).map(([name, values]): [string, string[]] => [name, [...values]]);
  const extracted: JsonObject = fields.length === 0 ? {} : { [FIELD_EXTRACTION]: Object.fromEntries(fields) };
  const http: JsonObject = {
    id: '1',
    method,
    path,
    host: 'gateway.example',
    scheme: 'https',
    size: '0',
    protocol: 'HTTP/2',
    ...(raw
      ? {
          header_map: {
            headers: headers.map(([key, value]) => ({
              key,
              raw_value: Buffer.from(value, 'latin1').toString('base64'),
            })),
          },
        }
      : { headers: Object.fromEntries(headers) }),
  };
  return {
    attributes: {
      source: { address: { socket_address: { address: '192.0.2.7', port_value: 40_000 } } },
      destination: { address: { socket_address: { address: '127.0.0.1', port_value: 8080 } } },
      request: { time: '2027-01-15T08:00:00Z', http },
      context_extensions: { ...extensions },
      metadata_context: { filter_metadata: extracted },
    },
  };
}

export const COMMAND: TestRequest = {
  path: COMMAND_GRPC_PATH,
  extensions: { stamp: '7', target: 'aggregate' },
  fields: { aggregate_type: ['order'], aggregate_id: ['42'], command_id: ['c1'] },
};

export const bearer = (token: string) => ['authorization', `Bearer ${token}`] as const;
