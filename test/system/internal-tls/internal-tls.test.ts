import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityOf } from '#domain/internal-identity.ts';
import type { RunFile } from '../../../src/launcher/run-file.ts';
import { ask, commandClient, gatewayctl, metadataOf, type Person } from '../../support/edge-client.ts';
import { startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import type { RunningGateway } from '../../support/launcher.ts';
import { until } from '../../support/wait.ts';
import { certificateOf, foreign, isAnswered, natsRefusal, type Shown, type Target } from './tls-client.ts';

/** A gateway whose parts speak mutual TLS with each other, and those who try to speak to them without being one of them. */
const DEADLINE_MS = 30_000;
let gateway: RunningGateway;
let run: RunFile;
let admin: Person;
let member: Person;

beforeAll(async () => {
  ({ gateway, run, admin, member } = await startGatewayWithMember({ env: { GATEWAY_INTERNAL_TLS: 'on' } }));
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const folder = () => join(gateway.dataFolder, 'tls', 'internal');
const shownBy = async (name: string): Promise<Shown> => {
  const [ca, certificate, key] = await Promise.all(
    ['ca.pem', `${name}.pem`, `${name}.key`].map((file) => readFile(join(folder(), file), 'utf8')),
  );
  return { ca: ca ?? '', certificate: certificate ?? '', key: key ?? '' };
};
const at = (address: string): Target => {
  const [host = '', port] = address.split(':');
  return { host, port: Number(port) };
};
const nodeAt = (kind: string, shard: string): Target =>
  at(run.nodes.find((node) => node.kind === kind && node.shard === shard)?.address ?? '');
const query = (headers: Readonly<Record<string, string>> = {}) =>
  ask(run.http, '/v1/query/orders', { token: member.token, tenant: 'acme', body: {}, headers });
const stat = async (name: string): Promise<number> => {
  const text = await (await fetch(`${run.envoyAdmin}/stats?filter=^${name}$`)).text();
  return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
};
const logOf = (name: string) => readFile(join(gateway.dataFolder, 'logs', `${name}.log`), 'utf8');

let commands = 0;
async function submit(): Promise<string | undefined> {
  using client = commandClient(run.http);
  commands += 1;
  const { headers } = await client.submit(
    {
      aggregate_type: 'order',
      aggregate_id: 'o1',
      command_id: `c${commands}`,
      command_type: 'order.place',
      payload: {},
    },
    metadataOf({ authorization: `Bearer ${member.token}`, 'x-tenant-id': 'acme' }),
  );
  return headers?.get('x-served-by').map(String)[0];
}

describe('a gateway with mutual TLS inside', () => {
  it('serves commands and queries, each connection inside over TLS', async () => {
    expect(await submit()).toBe('aggregate/s1');
    const answer = await query();
    expect([answer.status, answer.headers.get('x-served-by')]).toEqual([200, 'projection/s1']);
    for (const cluster of ['xds', 'authz', 'authz_api', 'aggregate/s1', 'projection/s1']) {
      expect(await stat(`cluster.${cluster}.ssl.handshake`), cluster).toBeGreaterThan(0);
    }
    expect(run.nats).toMatch(/^nats:/);
    expect(run.internalTls?.ca).toBe(join(folder(), 'ca.pem'));
  });

  it('has health, readiness and metrics in clear, and nothing of the API', async () => {
    for (const path of ['/health', '/ready', '/metrics']) {
      expect((await fetch(`${run.authz.http}${path}`)).status, path).toBe(200);
    }
    for (const path of ['/admin/routing', '/v1/auth/me', '/openapi.json', '/health/../admin/routing']) {
      const answer = await ask(run.authz.http, path, { token: admin.token });
      expect([answer.status, answer.body['code']], path).toEqual([404, 'not_found']);
    }
  });
});

describe('who is not Envoy', () => {
  const servers = () =>
    [
      ['xds', at(run.xds.grpc), 'h2'],
      ['authz', { path: join(gateway.dataFolder, 'sockets', 'authz.sock') }, 'h2'],
      ['node.aggregate.s1', nodeAt('aggregate', 's1'), 'h2'],
      ['node.projection.s1', nodeAt('projection', 's1'), 'http/1.1'],
      ['node.runner.s1', nodeAt('runner', 's1'), 'http/1.1'],
    ] as const;

  it('is refused by xds, authz and the nodes: in clear, without a certificate, with a foreign one, with another role', async () => {
    const envoy = await shownBy('envoy');
    const strangers: Readonly<Record<string, Shown | undefined>> = {
      'in clear': undefined,
      'no certificate': { ca: envoy.ca },
      'a foreign CA': await foreign(identityOf('envoy'), envoy.ca),
      'another program': await shownBy('xds'),
      'another node': await shownBy('node-aggregate-s2'),
      'an operator': await shownBy('operator'),
    };
    for (const [name, target, protocol] of servers()) {
      expect(await isAnswered(target, envoy, protocol), `${name}: Envoy itself`).toBe(true);
      for (const [who, shown] of Object.entries(strangers)) {
        expect(await isAnswered(target, shown, protocol), `${name}: ${who}`).toBe(false);
      }
      for (const line of [
        `client refused: its certificate is that of ${identityOf('operator')}`,
        'client refused: no TLS handshake with a certificate that is trusted',
      ]) {
        const what = `"${line}" in the log of ${name}`;
        await until(async () => (await logOf(name)).includes(line), { deadlineMs: DEADLINE_MS, what });
      }
    }
  });

  it('is refused by NATS unless it works with the storage', async () => {
    const { ca } = await shownBy('envoy');
    for (const name of ['xds', 'authz', 'operator']) {
      expect(await natsRefusal(run.nats, await shownBy(name)), name).toBeUndefined();
    }
    for (const name of ['envoy', 'node-projection-s1', 'nats']) {
      expect(await natsRefusal(run.nats, await shownBy(name)), name).toMatch(/authorization/i);
    }
    expect(await natsRefusal(run.nats, { ca })).toBeDefined();
    expect(await natsRefusal(run.nats, await foreign(identityOf('xds'), ca))).toBeDefined();
    expect(await natsRefusal(run.nats, undefined)).toBeDefined();
  });
});

describe('a shard whose servers are those of another', () => {
  it('gets no request, over TLS or in clear, and its tenants 503', async () => {
    const shown = await gatewayctl(gateway, ['routing', 'show', '--document'], { env: { GATEWAY_TOKEN: admin.token } });
    const document = JSON.parse(shown.stdout);
    document.projection_shards.impostor = structuredClone(document.projection_shards.s2);
    document.projection_placement.acme = 'impostor';
    const pushed = await ask(run.http, '/admin/routing/revisions', { token: admin.token, body: document });
    expect(pushed.status, pushed.text).toBe(200);
    const refused = await until(
      async () => {
        const answer = await query();
        return answer.status !== 200 && answer;
      },
      { deadlineMs: DEADLINE_MS, what: 'the move to the impostor' },
    );
    expect([refused.status, refused.body['code']]).toEqual([503, 'upstream_unavailable']);
    expect(await stat('cluster.projection/impostor.ssl.fail_verify_san')).toBeGreaterThan(0);
    expect(await stat('cluster.projection/impostor.upstream_rq_2xx')).toBe(0);

    // Told whose certificate to expect, it is the same shard by another name.
    document.projection_shards.impostor.tls = { san: identityOf('node/projection/s2') };
    expect((await ask(run.http, '/admin/routing/revisions', { token: admin.token, body: document })).status).toBe(200);
    const served = await until(
      async () => {
        const answer = await query();
        return answer.status === 200 && answer;
      },
      { deadlineMs: DEADLINE_MS, what: 'the shard under its right name' },
    );
    expect(served.headers.get('x-served-by')).toBe('projection/s2');
    const back = { changes: [{ tenant: 'acme', projection: 's1' }] };
    expect((await ask(run.http, '/admin/routing/revisions', { token: admin.token, body: back })).status).toBe(200);
  });
});

describe('new certificates', () => {
  it('serve new connections without a restart and without a failed request', async () => {
    await until(async () => (await query()).headers.get('x-served-by') === 'projection/s1', {
      deadlineMs: DEADLINE_MS,
      what: 'the tenant at home again',
    });
    const before = await gateway.run();
    const targets = [
      ['xds', at(run.xds.grpc), 'h2'],
      ['authz', { path: join(gateway.dataFolder, 'sockets', 'authz.sock') }, 'h2'],
      ['node-aggregate-s1', nodeAt('aggregate', 's1'), 'h2'],
      ['node-projection-s1', nodeAt('projection', 's1'), 'http/1.1'],
    ] as const;
    const stop = new AbortController();
    const traffic = Promise.all([keepAsking(stop.signal), keepAsking(stop.signal)]);
    traffic.catch(() => {});

    const renewed = await gatewayctl(gateway, ['certs', 'renew', folder(), '--all', '--json']);
    expect(JSON.parse(renewed.stdout).renewed).toHaveLength(11);
    process.kill(before.pids['nats'] ?? 0, 'SIGHUP');
    const envoy = await shownBy('envoy');
    for (const [name, target, protocol] of targets) await untilShows(name, target, protocol, envoy);
    const serial = await serialOf('envoy');
    await until(
      async () => {
        const own = certificatesOf((await ask(run.envoyAdmin, '/certs')).body, identityOf('envoy'));
        return own.length > 0 && own.every((shown) => shown === serial);
      },
      { deadlineMs: DEADLINE_MS, what: "Envoy's own new certificate" },
    );
    // A client that starts now knows the new certificates only, and so does the connection it makes.
    await gateway.kill('xds');
    await gateway.restarted('xds', before.pids['xds'] ?? 0);
    await until(async () => (await fetch(`${run.xds.http}/ready`)).ok, {
      deadlineMs: DEADLINE_MS,
      what: 'xds with its new certificate',
    });
    expect(await natsRefusal(run.nats, await shownBy('authz'))).toBeUndefined();

    stop.abort();
    const [first, second] = await traffic;
    expect([...first, ...second].filter(({ status }) => status !== 200)).toEqual([]);
    expect(first.length + second.length).toBeGreaterThan(20);
    expect((await gateway.run()).pids).toMatchObject({
      authz: before.pids['authz'],
      envoy: before.pids['envoy'],
      nats: before.pids['nats'],
    });
  });
});

const serialOf = async (name: string): Promise<string> => {
  return new X509Certificate((await shownBy(name)).certificate ?? '').serialNumber;
};

const untilShows = (name: string, target: Target, protocol: 'h2' | 'http/1.1', as: Shown) =>
  until(async () => (await certificateOf(target, as, protocol)).serialNumber === (await serialOf(name)), {
    deadlineMs: DEADLINE_MS,
    what: `the new certificate of ${name}`,
  });

/** Serial numbers of what Envoy's admin interface says it shows under an identity. */
function certificatesOf(body: Record<string, unknown>, identity: string): readonly string[] {
  const chains: { serial_number: string; subject_alt_names: { uri?: string }[] }[] = Object(body)[
    'certificates'
  ].flatMap((each: object) => Object(each)['cert_chain']);
  return chains
    .filter(({ subject_alt_names: names }) => names.some(({ uri }) => uri === identity))
    .map(({ serial_number: serial }) => serial.toUpperCase());
}

/** Commands and queries one after the other until the signal. */
async function keepAsking(signal: AbortSignal): Promise<readonly { readonly status: number; readonly text: string }[]> {
  const answers: { status: number; text: string }[] = [];
  while (!signal.aborted) {
    const { status, text } = await query();
    answers.push({ status, text: status === 200 ? '' : text });
    const served = await submit().catch(String);
    answers.push({ status: served === 'aggregate/s1' ? 200 : 0, text: String(served) });
  }
  return answers;
}
