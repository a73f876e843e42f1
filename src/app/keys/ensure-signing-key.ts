import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { auditRecord, SYSTEM } from '#domain/identity/audit.ts';
import { encodeRecord, readCurrentSigningKey, readSigningKey } from '#domain/identity/record-codec.ts';
import { IAM_SCHEMA, iamKey, type SigningKeyRecord } from '#domain/identity/records.ts';
import type { SigningKeys } from '#ports/token-signer.ts';
import { commitDecision, withStorage } from '../commit/commit-decision.ts';
import type { IdentityServices } from '../identity/identity-services.ts';

/**
 * Takes the installation's current signing key into use; the first replica that starts makes it. Two replicas starting
 * at once agree: which key is current is one record, created by compare-and-set. Call it again until it succeeds.
 * @returns the id of the key in use
 * @throws when the sealed key does not open: the master key is not the one it was sealed under
 */
export function ensureSigningKey(
  services: Pick<IdentityServices, 'store' | 'secrets' | 'clock'> & { readonly keys: SigningKeys },
) {
  return async (): Promise<Outcome<string>> => {
    const { store, secrets, clock, keys } = services;
    const nowMs = clock.nowMs();
    const made = keys.generate();
    const record: SigningKeyRecord = {
      schema: IAM_SCHEMA,
      kid: made.kid,
      algorithm: 'ES256',
      publicJwk: made.publicJwk,
      sealedPrivateKey: secrets.seal(made.privateKey, iamKey.signingKey(made.kid)),
      createdAt: new Date(nowMs).toISOString(),
    };
    const auditId = secrets.newId('aud');
    const audit = auditRecord({
      id: auditId,
      nowMs,
      context: { actor: SYSTEM },
      action: 'signing_key.create',
      target: { type: 'signing_key', id: made.kid },
    });
    const kid = await commitDecision({
      store,
      operationKey: iamKey.audit(auditId),
      attempt: async () => {
        const current = await store.get(iamKey.currentSigningKey());
        if (current !== undefined) return { answer: succeed(readCurrentSigningKey(current.value).kid) };
        return {
          writes: [
            { key: iamKey.audit(auditId), value: encodeRecord(audit), expect: 0 },
            { key: iamKey.currentSigningKey(), value: encodeRecord({ schema: IAM_SCHEMA, kid: made.kid }), expect: 0 },
            { key: iamKey.signingKey(made.kid), value: encodeRecord(record), expect: 0 },
          ],
          committed: () => made.kid,
        };
      },
    });
    if (!kid.ok) return kid;
    return withStorage(async () => {
      const stored = await store.get(iamKey.signingKey(kid.value));
      if (stored === undefined) return refuse('storage_unavailable', 'the current signing key is not readable yet');
      const { sealedPrivateKey } = readSigningKey(stored.value);
      keys.use({ kid: kid.value, privateKey: secrets.open(sealedPrivateKey, iamKey.signingKey(kid.value)) });
      return kid;
    });
  };
}
