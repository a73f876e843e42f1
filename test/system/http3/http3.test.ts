import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { makeAuthority, makeCertificate } from '#platform/certificates/make-certificate.ts';
import { replaceFile } from '#platform/replace-file.ts';
import { ask, commandClient, metadataOf, type Person } from '../../support/edge-client.ts';
import { startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../../support/launcher.ts';
import { until } from '../../support/wait.ts';
import { sendGrpc } from '../edge-matrix/wire-client.ts';
import { type Http3Client, startHttp3Client } from './http3-client.ts';

/** HTTP/3 as GATEWAY_HTTP3=on offers it, through the real gateway; the client is another Envoy. */
let gateway: RunningGateway;
let client: Http3Client;
let tlsPort: number;
/** The authority of the certificate that was shown first. */
let trusted: string;
let member: Person;

beforeAll(async () => {
  const edge = await startGatewayWithMember({ env: { GATEWAY_HTTP3: 'on' } });
  ({ gateway, member } = edge);
  const { run } = edge;
  tlsPort = Number(new URL(run.https).port);
  trusted = await showCertificate('first');
  client = await startHttp3Client({ tlsPort, ca: trusted });
  await untilServed(client);
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await gateway?.[Symbol.asyncDispose]();
});

/**
 * Puts a certificate of a new authority into the place of the edge's, and says where that authority is. The one that
 * development makes is limited to addresses of this machine, which is more than Envoy understands as a client.
 */
async function showCertificate(name: string): Promise<string> {
  const folder = dirname((await gateway.run()).ca);
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 86_400_000) };
  const authority = await makeAuthority({ ...validity, name });
  const names = [{ type: 'dns', value: 'localhost' }] as const;
  const request = { ...validity, subject: 'localhost', names, uses: ['server'] } as const;
  const { certificate, key } = await makeCertificate(authority, request);
  await writeFile(join(folder, `${name}.pem`), authority.certificate);
  await replaceFile(join(folder, 'server.key'), key);
  await replaceFile(join(folder, 'server.pem'), certificate);
  return join(folder, `${name}.pem`);
}

const untilServed = (by: Http3Client) =>
  until(async () => (await query(by)).status === 200, { deadlineMs: 30_000, what: 'the new certificate to be shown' });

const credentials = () => ({ authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' });
const query = (by: Http3Client, headers: Readonly<Record<string, string>> = {}, body: object = {}) =>
  ask(by.http, '/v1/query/orders', { body, headers: { ...credentials(), ...headers } });

/** What the access log says of a request, by its correlation id. */
const logged = (id: string): Promise<Record<string, unknown>> =>
  until(
    async () => {
      const text = await readFile(join(gateway.dataFolder, 'logs', 'access.log'), 'utf8');
      const line = text.split('\n').find((each) => each.includes(`"correlation_id":"${id}"`));
      return line !== undefined && Object(JSON.parse(line));
    },
    { deadlineMs: 10_000, what: `a line about ${id} in the access log` },
  );

let connectionsBefore: number;
const TRACE = '0af7651916cd43dd8448eb211c80319c';

describe('over HTTP/3', () => {
  it('a query is served as over any other protocol, with its ids, and the log says how it came', async () => {
    connectionsBefore = await client.connections();
    const ids = { 'x-correlation-id': 'over-h3', traceparent: `00-${TRACE}-b7ad6b7169203331-01` };
    const answer = await query(client, { ...ids, 'x-gateway-cluster': 'runner/s1', 'x-principal-id': 'forged' });
    expect([answer.status, answer.headers.get('x-served-by')]).toEqual([200, 'projection/s1']);
    expect(answer.headers.get('x-correlation-id')).toBe('over-h3');
    expect(answer.headers.get('traceparent')).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    for (const name of ['x-request-id', 'x-decision-id', 'x-routing-revision']) {
      expect([name, answer.headers.get(name)]).toEqual([name, expect.any(String)]);
    }
    expect(answer.body['headers']).toMatchObject({
      'x-correlation-id': 'over-h3',
      'x-principal-id': member.userId,
      'x-tenant-id': 'acme',
    });
    const line = await logged('over-h3');
    expect(line).toMatchObject({ protocol: 'HTTP/3', outcome: 'allow', sni: 'localhost', client: '127.0.0.1' });
    expect([line['upstream_cluster'], line['decided_revision']]).toEqual(['projection/s1', line['routed_revision']]);
  });

  it('commands are served, as JSON and as gRPC, small and large', async () => {
    const payload = { text: 'x'.repeat(900_000) };
    const json = await ask(client.http, '/v1/commands/order/h3', {
      body: { command_id: 'h3-1', command_type: 'order.place', payload },
      headers: credentials(),
    });
    expect([json.status, json.headers.get('x-served-by')]).toEqual([200, 'aggregate/s1']);
    expect(json.body).toMatchObject({ command_id: 'h3-1', version: '1' });
    using grpc = commandClient(client.http);
    const place = { aggregate_type: 'order', aggregate_id: 'h3', command_type: 'order.place', payload: { a: 1 } };
    const called = await grpc.submit({ ...place, command_id: 'h3-2' }, metadataOf(credentials()));
    expect(called.response).toMatchObject({ command_id: 'h3-2', version: '2' });
    // Told apart from headers that a body follows only by the end of the stream, which this client passes on by itself.
    const request = { method: 'POST', path: COMMAND_GRPC_PATH, headers: { ...credentials(), 'x-tenant-id': 'globex' } };
    const denied = await sendGrpc(Number(new URL(client.http).port), { ...request, body: Buffer.alloc(0) });
    expect(denied.headers).toMatchObject({ 'grpc-status': '7', 'x-gateway-error': 'tenant_forbidden' });
  });

  it('errors are what they are elsewhere, whoever makes them', async () => {
    const ids = { 'x-correlation-id': 'h3-error' };
    const refused = await ask(client.http, '/v1/query/orders', { body: {}, headers: ids });
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.body).toMatchObject({
      ...{ status: 401, code: 'token_missing', correlation_id: 'h3-error' },
      request_id: refused.headers.get('x-request-id'),
      decision_id: refused.headers.get('x-decision-id'),
    });
    const early = await ask(client.http, '/v1/query/a%2fb', { headers: { ...credentials(), ...ids } });
    expect(early.body).toMatchObject({ status: 400, code: 'request_malformed', correlation_id: 'h3-error' });
    const large = await query(client, ids, { text: 'x'.repeat(1_100_000) });
    expect(large.body).toMatchObject({ status: 413, code: 'body_too_large', correlation_id: 'h3-error' });
  });

  it('what breaks the rules of a stream ends that one without an answer, as on HTTP/2', async () => {
    for (const headers of [{ x_tenant_id: 'acme' }, { 'x-large': 'x'.repeat(60_000) }] as const) {
      const answer = await query(client, headers);
      // Said by the client itself.
      expect(answer.text).toMatch(/^upstream connect error or disconnect\/reset before headers/);
      expect(answer.headers.get('x-request-id')).toBeNull();
    }
    expect((await query(client)).status).toBe(200);
  });

  it('all of that went over one connection', async () => {
    expect(await client.connections()).toBe(connectionsBefore);
  });
});

describe('the TLS listener', () => {
  it('announces it, also with errors; the one in clear does not', async () => {
    const { http, https } = await gateway.run();
    const session = connect(https, { ca: await readFile(trusted) });
    const announced = await new Promise((resolve, reject) => {
      session.on('error', reject);
      session
        .request({ ':path': '/v1/auth/me' })
        .on('response', (headers) => resolve([headers[':status'], headers['alt-svc']]));
    }).finally(() => session.destroy());
    expect(announced).toEqual([401, `h3=":${tlsPort}"; ma=86400`]);
    expect((await ask(http, '/health')).headers.get('alt-svc')).toBeNull();
  });
});

describe('a new certificate', () => {
  it('is shown to new connections, and the old ones go on', async () => {
    const before = await client.connections();
    const next = await showCertificate('next');
    await using newcomer = await startHttp3Client({ tlsPort, ca: next });
    await untilServed(newcomer);
    // Trusts the authority before that alone, and has been connected all the time.
    expect((await query(client)).status).toBe(200);
    expect(await client.connections()).toBe(before);
    await using latecomer = await startHttp3Client({ tlsPort, ca: trusted });
    expect((await query(latecomer)).status).toBe(503);
  });
});

describe('SIGTERM of the launcher', () => {
  it('lets a request end that came over HTTP/3', async () => {
    const slow = query(client, { 'x-correlation-id': 'slow' }, { delay_ms: 2_000 });
    const { envoyAdmin } = await gateway.run();
    const active = async () => (await fetch(`${envoyAdmin}/stats?filter=%5Ehttp.edge.downstream_rq_active$`)).text();
    await until(async () => Number((await active()).split(': ')[1]) > 0, {
      deadlineMs: 5_000,
      what: 'it to be under way',
    });
    expect(await gateway.stop()).toBe(0);
    expect((await slow).status).toBe(200);
  });
});
