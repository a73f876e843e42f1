import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { messageFromJson, messageType } from '#platform/proto-registry.ts';
import { loadCommandProtocol } from '../nodes/aggregate/command-service.ts';
import { ask, assign, bootstrapAdmin, PASSWORD, type Person, signUp } from '../support/edge-client.ts';
import { type RunningGateway, startGateway } from '../support/launcher.ts';
import { until } from '../support/wait.ts';
import {
  sendGrpc,
  sendGrpcWeb,
  sendHttp1,
  sendHttp2,
  type WireAnswer,
  type WireRequest,
} from './edge-matrix/wire-client.ts';

/**
 * A gateway with limits so small that each is reached at once: what clients of every protocol are told, that nobody pays
 * for others, and that it ends when it was said to end.
 */
const LIMITS = {
  GATEWAY_RATE_PRINCIPAL: '20/10s',
  GATEWAY_RATE_TENANT: '30/15s',
  GATEWAY_RATE_ADDRESS: '60/30s',
  GATEWAY_RATE_CREDENTIALS: '40/400s',
  GATEWAY_RATE_LISTENER: '300/3s',
  GATEWAY_SIGN_IN_FAILURES: '3',
  GATEWAY_SIGN_IN_FAILURES_PER_ADDRESS: '10',
  GATEWAY_SIGN_IN_DELAY_SECONDS: '2',
} as const;

let gateway: RunningGateway;
let port: number;
let http: string;
let people: readonly Person[];

beforeAll(async () => {
  gateway = await startGateway({ env: LIMITS });
  ({ http } = await gateway.run());
  port = Number(new URL(http).port);
  const admin = await bootstrapAdmin(gateway);
  people = await Promise.all(
    ['acme', 'acme', 'globex', 'globex', 'globex'].map(async (tenant, index) => {
      const person = await signUp(http, `person${index}@example.com`);
      const assigned = await assign(http, admin, person, tenant, 'tenant-member');
      expect(assigned.status).toBe(201);
      return person;
    }),
  );
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const { registry } = loadCommandProtocol();
const TYPE = 'aggregate.gateway.v1.SubmitCommandRequest';
const COMMAND = { aggregate_type: 'order', aggregate_id: '1', command_id: 'c', command_type: 'order.place' };
const command = Buffer.from(toBinary(messageType(registry, TYPE), messageFromJson(registry, TYPE, COMMAND)));

const personOf = (index: number): Person => {
  const person = people[index];
  if (person === undefined) throw new Error('nobody');
  return person;
};
const headersOf = (index: number, tenant: string) => ({
  authorization: `Bearer ${personOf(index).token}`,
  'x-tenant-id': tenant,
});
const query = (index: number, tenant: string): WireRequest => ({
  method: 'POST',
  path: '/v1/query/orders',
  headers: { ...headersOf(index, tenant), 'content-type': 'application/json' },
  body: Buffer.from('{}'),
});
const call = (index: number, tenant: string): WireRequest => ({
  method: 'POST',
  path: COMMAND_GRPC_PATH,
  headers: headersOf(index, tenant),
  body: command,
});

/** Sends until something is refused by a limit. @returns the refusal and how many were let through before */
async function untilLimited(send: () => Promise<WireAnswer>) {
  for (let passed = 0; passed < 200; passed += 1) {
    const answer = await send();
    if (answer.headers['x-gateway-error'] === 'rate_limited') return { answer, passed };
    expect([answer.status, answer.headers['x-gateway-error']]).toEqual([200, undefined]);
  }
  throw new Error('no limit was met');
}

/** The time that a refusal asked for: what is claimed is that no more is needed. */
const passing = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1_000));

const problemOf = (answer: WireAnswer) => JSON.parse(answer.body.toString('utf8'));

describe('a principal that sends too much', () => {
  it('is told so by HTTP/1.1 and HTTP/2, and heard again after Retry-After', async () => {
    const { answer, passed } = await untilLimited(() => sendHttp1(port, query(0, 'acme')));
    // Two a second come back while they are sent.
    expect(passed).toBeGreaterThanOrEqual(15);
    expect(passed).toBeLessThan(40);
    const refusals = [answer, (await untilLimited(() => sendHttp2(port, query(0, 'acme')))).answer];
    for (const { status, headers, body } of refusals) {
      expect(status).toBe(429);
      expect(headers).toMatchObject({
        'retry-after': '1',
        'ratelimit-policy': '"principal";q=20;w=10',
        ratelimit: '"principal";r=0;t=1',
        'content-type': 'application/problem+json',
        'x-decision-id': expect.stringMatching(/^dec_/),
      });
      expect(JSON.parse(body.toString('utf8'))).toMatchObject({
        type: 'urn:gateway:error:rate_limited',
        status: 429,
        code: 'rate_limited',
        decision_id: headers['x-decision-id'],
      });
    }
    await passing(Number(answer.headers['retry-after']));
    const again = await sendHttp1(port, query(0, 'acme'));
    expect(again.status).toBe(200);
    expect(again.headers['ratelimit']).toMatch(/^"principal";r=\d;t=\d+$/);
  });

  it('is told so by gRPC and gRPC-Web', async () => {
    const sends = [() => sendGrpc(port, call(0, 'acme')), () => sendGrpcWeb(port, call(0, 'acme'))];
    for (const send of sends) {
      const { answer } = await untilLimited(send);
      expect(answer.status).toBe(200);
      expect(answer.headers).toMatchObject({
        'grpc-status': '8',
        'x-gateway-error': 'rate_limited',
        'retry-after': '1',
        'ratelimit-policy': '"principal";q=20;w=10',
        ratelimit: '"principal";r=0;t=1',
        'x-decision-id': expect.stringMatching(/^dec_/),
      });
      expect(decodeURIComponent(answer.headers['grpc-message'] ?? '')).toContain(
        'more requests than one principal may',
      );
    }
  });

  it('pays for what it is denied, and nobody else pays', async () => {
    const denied = () => sendHttp1(port, query(3, 'acme'));
    const answers: WireAnswer[] = [];
    for (let sent = 0; sent < 60 && answers.at(-1)?.status !== 429; sent += 1) answers.push(await denied());
    expect(answers[0]?.headers['x-gateway-error']).toBe('tenant_forbidden');
    expect(answers.at(-1)?.headers['ratelimit-policy']).toContain('"principal"');
    expect((await sendHttp1(port, query(4, 'globex'))).status).toBe(200);
    expect((await sendHttp1(port, query(1, 'acme'))).status).toBe(200);
  });

  it('is in the metrics and in the log, by kind and with its decision', async () => {
    const { authz } = await gateway.run();
    const metrics = await (await fetch(`${authz.http}/metrics`)).text();
    expect(metrics).toMatch(/gateway_authz_rate_limited_total\{limit="principal",service="authz"\} [1-9]/);
    expect(metrics).toMatch(/gateway_authz_decisions_total\{outcome="deny",reason="rate_limited",.*\} [1-9]/);
    const { answer } = await untilLimited(() => sendHttp1(port, query(0, 'acme')));
    const log = join(gateway.dataFolder, 'logs/authz.log');
    await until(async () => (await readFile(log, 'utf8')).includes(answer.headers['x-decision-id'] ?? 'none'), {
      deadlineMs: 10_000,
      what: 'the refusal to be logged',
    });
  });
});

describe('a tenant that gets too much', () => {
  it('is limited over all its principals, and others are not', async () => {
    // Two principals together have more than their tenant.
    const ofTenant = async () => {
      const { answer } = await untilLimited(() => sendHttp1(port, query(Math.random() < 0.5 ? 2 : 4, 'globex')));
      return problemOf(answer).detail.includes('tenant') && answer;
    };
    const answer = await until(ofTenant, { deadlineMs: 20_000, what: 'the tenant to be limited' });
    expect(answer.headers['ratelimit-policy']).toBe('"tenant";q=30;w=15');
    expect((await sendHttp1(port, query(1, 'acme'))).status).toBe(200);
  });
});

describe('addresses', () => {
  it('are limited where anybody may call', async () => {
    const { answer } = await untilLimited(() =>
      sendHttp1(port, { method: 'GET', path: '/.well-known/jwks.json', headers: {} }),
    );
    expect(answer.status).toBe(429);
    expect(answer.headers['ratelimit-policy']).toBe('"address";q=60;w=30');
    // Not the principals that call from there.
    expect((await sendHttp1(port, query(1, 'acme'))).status).toBe(200);
  });
});

describe('guessing a password', () => {
  const guess = (email: string, password: string) => ask(http, '/v1/auth/signin', { body: { email, password } });

  it.each(['person1@example.com', 'nobody@example.com'])('takes longer and longer: %s', async (email) => {
    const answers = [];
    for (let tries = 0; tries < 4; tries += 1) answers.push(await guess(email, 'a wrong password'));
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 429]);
    const refused = answers[3];
    expect(refused?.headers.get('retry-after')).toBe('2');
    expect(refused?.body).toMatchObject({ code: 'rate_limited', status: 429 });
  });

  it('lets the owner in after the delay, whose sign-in ends it', async () => {
    const owner = { email: 'person1@example.com', password: PASSWORD };
    const early = await guess(owner.email, owner.password);
    expect(early.status).toBe(429);
    await passing(Number(early.headers.get('retry-after')));
    expect((await guess(owner.email, owner.password)).status).toBe(200);
    const more = [await guess(owner.email, 'a wrong password'), await guess(owner.email, 'a wrong password')];
    expect(more.map(({ status }) => status)).toEqual([401, 401]);
  });

  it('of many accounts from one address takes longer too, and is limited with all else that costs a hash', async () => {
    let last = await guess('x@example.com', 'a wrong password');
    for (let index = 0; index < 20 && last.status !== 429; index += 1) last = await guess(`x${index}@example.com`, 'x');
    expect([last.status, last.headers.get('retry-after'), last.headers.get('ratelimit-policy')]).toEqual([
      ...[429, '2', expect.anything()],
    ]);
    const { authz } = await gateway.run();
    const metrics = await (await fetch(`${authz.http}/metrics`)).text();
    expect(metrics).toMatch(/gateway_authz_sign_in_throttled_total\{by="client",service="authz"\} 1\n/);
    const limited = await until(
      async () => {
        const answer = await guess('y@example.com', 'x');
        return Number(answer.headers.get('retry-after')) > 2 && answer;
      },
      { deadlineMs: 20_000, what: 'the address to be limited' },
    );
    expect([limited.status, limited.headers.get('ratelimit-policy')]).toEqual([429, '"credentials";q=40;w=400']);
    expect(limited.headers.get('ratelimit')).toMatch(/^"credentials";r=0;t=\d+$/);
  });
});

describe('a flood', () => {
  it('ends in Envoy, before anybody decides, and leaves health checks alone', async () => {
    const flood = async (send: (to: number, request: WireRequest) => Promise<WireAnswer>, request: WireRequest) => {
      const sends = Array.from({ length: 400 }, () => send(port, request));
      const answers = await Promise.all(sends);
      return answers.filter(({ headers }) => headers['ratelimit-policy'] === '"listener";q=300;w=3');
    };
    const nowhere: WireRequest = { method: 'GET', path: '/nowhere', headers: {} };
    const refused = await flood(sendHttp1, nowhere);
    expect(refused.length).toBeGreaterThan(0);
    for (const { status, headers } of refused) {
      expect(status).toBe(429);
      expect(headers).toMatchObject({ 'retry-after': '1', ratelimit: '"listener";r=0;t=1' });
      expect(headers['x-decision-id']).toBeUndefined();
    }
    const [first] = refused;
    if (first === undefined) throw new Error('nothing was refused');
    expect(problemOf(first)).toMatchObject({
      code: 'rate_limited',
      status: 429,
      request_id: first.headers['x-request-id'],
      correlation_id: first.headers['x-correlation-id'],
    });
    const calls = [await flood(sendGrpc, call(1, 'acme')), await flood(sendGrpcWeb, call(1, 'acme'))];
    expect(calls.filter((answers) => answers.length === 0)).toEqual([]);
    for (const { status, headers } of calls.flatMap((answers) => answers.slice(0, 1))) {
      expect(status).toBe(200);
      expect(headers).toMatchObject({ 'grpc-status': '8', 'x-gateway-error': 'rate_limited', 'retry-after': '1' });
    }
    await flood(sendHttp1, nowhere);
    expect((await sendHttp1(port, { method: 'GET', path: '/health', headers: {} })).status).toBe(200);
  });
});
