import { expect } from 'vitest';
import { ask } from '../../support/edge-client.ts';
import type { GatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';

/** Generous, for a busy machine; of whom a flood takes the turn waits for seconds, or for ever. */
const WAIT_MAX_MS = 2_000;

/** Somebody else, who is served while others do harm: fails where that takes long. */
export async function bystander({ http, member }: GatewayWithMember, path = '/v1/query/orders'): Promise<void> {
  const start = performance.now();
  const answer = await ask(http, path, { body: {}, token: member.token, tenant: 'acme' });
  expect(answer.status).toBe(200);
  expect(performance.now() - start).toBeLessThan(WAIT_MAX_MS);
}
