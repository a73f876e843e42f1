import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Edge, startEdge } from './rig/edge.ts';

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const send = (path: string, init: RequestInit & { readonly headers?: Record<string, string> } = {}) =>
  fetch(`${edge.http}${path}`, init);
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-tenant-id': 'acme', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

describe('smoke', () => {
  it('all', async () => {
    const show = async (r: Response) => console.log(r.status, r.headers.get('x-served-by'), r.headers.get('x-routing-revision'), (await r.text()).slice(0, 600));
    await show(await post('/v1/commands/order/42', { command_id: 'c1', command_type: 'place', payload: {} }));
    console.log(JSON.stringify(edge.authz.checks.at(-1)));
    await show(await post('/v1/query/list', {}));
    await show(await send('/admin/runner/x/y?q=1', { headers: { 'x-tenant-id': 'acme' } }));
    await show(await send('/v1/auth/me'));
    await show(await send('/nope'));
    await show(await post('/v1/commands/order/42?aggregate_type=invoice', {}));
    await show(await post('/v1/commands/order/42', '{"aggregate_type":"order","aggregateType":"invoice"}'));
    await show(await post('/v1/commands/order/42', '{"x":'));
    await show(await post('/v1/commands/order/42?foo=1', '{}'));
    await show(await post('/v1/commands/order/%ff', '{}'));
    await show(await send('/v1/commands/order/42'));
    console.log(JSON.stringify(edge.authz.checks.at(-1)));
    await show(await post('/v1/query/a%2fb', {}));
    await show(await post('/v1/query/list', 'x'.repeat(1_200_000)));
    await show(await post('/admin/routing/revisions', 'x'.repeat(1_200_000)));
    await show(await post('/admin/routing/revisions?x=1', 'x'.repeat(1_200_000)));
    const { readFileSync } = await import('node:fs');
    await edge.envoy.admin('/logging?level=info');
    await new Promise((r) => setTimeout(r, 1200));
    console.log(readFileSync(edge.accessLog, 'utf8'));
    console.log(await edge.envoy.admin('/stats?filter=update_rejected|update_success|version_text|warming'));
    console.log(edge.envoy.log());
    console.log(edge.events);
    expect(1).toBe(1);
  });
});
