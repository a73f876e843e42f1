import { execFile } from 'node:child_process';
import { connect } from 'node:http2';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { type NodeProcess, startNodeProcess } from '../../nodes/start-node.ts';

let projection: NodeProcess;
let runner: NodeProcess;

beforeAll(async () => {
  [projection, runner] = await Promise.all([startNodeProcess('projection', 's1'), startNodeProcess('runner', 's2')]);
});
afterAll(async () => {
  expect(await Promise.all([projection.stop(), runner.stop()])).toEqual([0, 0]);
});

const TENANT = { 'x-tenant-id': 'acme' };

const query = (body: string, headers: Readonly<Record<string, string>> = TENANT, path = '/v1/query/orders') =>
  fetch(`http://${projection.address}${path}`, { method: 'POST', headers, body });

const admin = (method: string, path: string, headers: Readonly<Record<string, string>> = TENANT, body?: string) =>
  fetch(`http://${runner.address}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });

describe('a projection node', () => {
  it('echoes the headers it received, over HTTP/1.1', async () => {
    const response = await query('{}', { ...TENANT, 'x-principal-id': 'usr_1', traceparent: '00-a-b-01' });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-served-by')).toBe('projection/s1');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toMatchObject({
      shard: 's1',
      tenant_id: 'acme',
      view_type: 'orders',
      headers: { 'x-tenant-id': 'acme', 'x-principal-id': 'usr_1', traceparent: '00-a-b-01' },
    });
  });

  it('does the same over HTTP/2 in clear, on the same port', async () => {
    const answer = await http2Query(projection.port, '{"a":1}');
    expect(answer.status).toBe(200);
    expect(answer.servedBy).toBe('projection/s1');
    expect(JSON.parse(answer.body)).toMatchObject({ tenant_id: 'acme', headers: { 'x-tenant-id': 'acme' } });
  });

  it('refuses what is no query, as problem documents', async () => {
    const code = async (response: Response) => [response.status, Object(await response.json()).code];
    expect(await code(await query('{}', {}))).toEqual([400, 'tenant_missing']);
    expect(await code(await query('{}', { 'x-tenant-id': 'a, b' }))).toEqual([400, 'tenant_invalid']);
    expect(await code(await query('[]'))).toEqual([400, 'validation_failed']);
    expect(await code(await query('{'))).toEqual([400, 'validation_failed']);
    expect(await code(await query('{"delay_ms":30001}'))).toEqual([400, 'validation_failed']);
    expect(await code(await query('{}', TENANT, '/v1/other'))).toEqual([404, 'not_found']);
    expect(await code(await fetch(`http://${projection.address}/v1/query/a`))).toEqual([405, 'method_not_allowed']);
    expect(await code(await query('x'.repeat(LIMITS.requestBodyMaxBytes + 1)))).toEqual([413, 'body_too_large']);
    const problem = await query('[]', { ...TENANT, 'x-request-id': 'r1', 'x-correlation-id': 'k1' });
    expect(problem.headers.get('content-type')).toBe('application/problem+json');
    expect(await problem.json()).toMatchObject({ request_id: 'r1', correlation_id: 'k1' });
  });

  it('refuses a placement epoch older than the newest it saw for the tenant', async () => {
    const at = (epoch: string) => query('{}', { 'x-tenant-id': 'fenced', 'x-placement-epoch': epoch });
    expect((await at('10')).status).toBe(200);
    const stale = await at('9');
    expect([stale.status, stale.headers.get('x-placement-epoch')]).toEqual([412, '10']);
    expect(await stale.json()).toMatchObject({
      code: 'precondition_failed',
      detail: 'Placement epoch 9 of tenant fenced is older than 10, seen by this node.',
    });
    expect((await at('10')).status).toBe(200);
    expect((await at('-1')).status).toBe(400);
  });

  it('delays when the query asks for it', async () => {
    const begun = performance.now();
    expect((await query('{"delay_ms":150}')).status).toBe(200);
    expect(performance.now() - begun).toBeGreaterThanOrEqual(145);
  });
});

describe('a runner node', () => {
  it('pauses and resumes per tenant', async () => {
    const state = async (response: Promise<Response>) => Object(await (await response).json()).state;
    expect(await state(admin('GET', '/status'))).toBe('running');
    expect(await state(admin('POST', '/pause'))).toBe('paused');
    expect(await state(admin('GET', '/status'))).toBe('paused');
    expect(await state(admin('GET', '/status', { 'x-tenant-id': 'globex' }))).toBe('running');
    expect(await state(admin('POST', '/resume'))).toBe('running');
    expect((await admin('GET', '/pause')).status).toBe(405);
    expect((await admin('GET', '/status', {})).status).toBe(400);
  });

  it('echoes everything else', async () => {
    const response = await admin('PUT', '/jobs/7?force=1', { ...TENANT, 'x-decision-id': 'dec_1' }, 'text');
    expect(response.headers.get('x-served-by')).toBe('runner/s2');
    expect(await response.json()).toMatchObject({
      shard: 's2',
      tenant_id: 'acme',
      method: 'PUT',
      path: '/jobs/7',
      query: 'force=1',
      headers: { 'x-decision-id': 'dec_1' },
      body: 'text',
    });
    expect(await (await admin('GET', '/jobs', {})).json()).toMatchObject({ shard: 's2', tenant_id: null });
  });
});

describe('every node', () => {
  it('answers probes without a tenant', async () => {
    for (const path of ['/health', '/ready']) {
      const response = await fetch(`http://${projection.address}${path}`);
      expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }]);
    }
  });

  it('ends running requests on SIGTERM, closes both kinds of connection and exits with 0', async () => {
    const own = await startNodeProcess('projection', 's3');
    const url = `http://${own.address}/v1/query/a`;
    await (await fetch(url, { method: 'POST', headers: TENANT })).text();
    const slow = fetch(url, { method: 'POST', headers: TENANT, body: '{"delay_ms":500}' });
    const slow2 = http2Query(own.port, '{"delay_ms":500}');
    // Answered after the slow ones have arrived, on connections of their own.
    await (await fetch(`http://${own.address}/health`)).text();
    await http2Query(own.port, '{}');
    const stopped = own.stop();
    expect((await slow).status).toBe(200);
    expect((await slow2).status).toBe(200);
    expect(await stopped).toBe(0);
    await expect(fetch(url)).rejects.toThrow();
  });

  it('logs JSON lines', () => {
    const listening = projection.lines.map((line) => Object(JSON.parse(line))).find(({ msg }) => msg === 'listening');
    expect(listening).toMatchObject({ level: 'info', service: 'node.projection.s1', address: projection.address });
  });

  it('names every mistake in its configuration and exits with 2', async () => {
    const main = fileURLToPath(new URL('../../nodes/main.ts', import.meta.url));
    const env = { PATH: process.env['PATH'] ?? '', NODE_KIND: 'aggregat', NODE_SHARD: 'S 1' };
    const run = promisify(execFile)(process.execPath, [main], { env });
    await expect(run).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/NODE_LISTEN.*NODE_KIND.*NODE_SHARD/s),
    });
  });
});

function http2Query(port: number, body: string): Promise<{ status: number; servedBy: string; body: string }> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const stream = session.request({ ':method': 'POST', ':path': '/v1/query/orders', ...TENANT });
    const answer = { status: 0, servedBy: '', body: '' };
    stream.on('response', (headers) => {
      answer.status = Number(headers[':status']);
      answer.servedBy = String(headers['x-served-by']);
    });
    stream.setEncoding('utf8');
    stream.on('data', (part: string) => {
      answer.body += part;
    });
    stream.on('error', reject);
    stream.on('end', () => {
      session.close();
      resolve(answer);
    });
    stream.end(body);
  });
}
