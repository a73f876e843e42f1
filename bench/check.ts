import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { createCheckObserver } from '../src/authz/ext-authz/check-observer.ts';
import { CHECK_PATH, startExtAuthzServer } from '../src/authz/ext-authz/server.ts';
import { bearer, checkFixture, checkJson, encodeCheck } from '../test/support/check-fixture.ts';
import { interleave, printJson, printTable, shown, summarise } from './rig/harness.ts';

/**
 * CPU microseconds per ext_authz check: our check behind grpc-js with bytes passed through, against a server that always
 * allows, written the usual way (grpc-js and proto-loader), in the same run; and our check alone, without transport.
 * `npm run bench -- check [--rounds 5] [--seconds 1] [--json]`
 */
const USERS_COUNT = 500;
const IN_FLIGHT = 32;
const WARM_UP_CHECKS = 20_000;
const PURE_CHECKS_PER_RUN = 100_000;

/** Headers a browser sends besides the ones decided by: a check has to step over them. */
const BROWSER_HEADERS: readonly (readonly [string, string])[] = [
  [':authority', 'gateway.example'],
  [':path', '/v1/query/orders?limit=50&cursor=eyJhIjoxfQ'],
  [':method', 'POST'],
  [':scheme', 'https'],
  [
    'user-agent',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  ],
  ['accept', 'application/json, text/plain, */*'],
  ['accept-language', 'en-GB,en;q=0.9,de;q=0.8'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['content-type', 'application/json'],
  ['content-length', '57'],
  ['cookie', `theme=dark; consent=${'x'.repeat(300)}`],
  ['sec-ch-ua', '"Chromium";v="140", "Not=A?Brand";v="24"'],
  ['sec-fetch-site', 'same-origin'],
  ['x-forwarded-for', '203.0.113.9'],
  ['x-forwarded-proto', 'https'],
  ['x-request-id', '0b6d0f6e-6b1f-4b4e-9a2e-0d6b7a1d5f11'],
  ['x-correlation-id', 'web-7f3a9c'],
  ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
];

type Variant = 'ours' | 'proto-loader';

const silent = createLog({ service: 'bench', level: 'silent' });
/** Counts and measures as in production. */
const observer = () => createCheckObserver({ metrics: createMetrics('bench'), log: silent });

/** Requests of many users, all of which our check allows, and the check that knows them. */
function workload() {
  const fixture = checkFixture({ observer: observer() });
  // Tokens of one member with different ids: each is verified once, then remembered.
  const requests = Array.from({ length: USERS_COUNT }, (_, index) => {
    const token = fixture.tokenOf('usr_member', { jti: `jti_${index}` });
    const headers = [...BROWSER_HEADERS, bearer(token), ['x-tenant-id', 'acme'] as const];
    return encodeCheck(checkJson({ path: '/v1/query/orders?limit=50&cursor=eyJhIjoxfQ', headers }));
  });
  return { ...fixture, requests };
}

async function serve(variant: Variant, key: string): Promise<string> {
  if (variant === 'proto-loader') return serveAlwaysAllow();
  const fixture = checkFixture({ pem: key, observer: observer() });
  const server = await startExtAuthzServer({
    listen: { host: '127.0.0.1', port: 0 },
    check: fixture.check,
    routing: fixture.keeper,
    canDecide: () => true,
    log: silent,
  });
  return server.address;
}

/** The obvious way in TypeScript: messages become objects, the answer is made of one. */
async function serveAlwaysAllow(): Promise<string> {
  const bytes = readFileSync(new URL('../proto/envoy-api.binpb', import.meta.url));
  const definition = loadFileDescriptorSetFromBuffer(bytes)['envoy.service.auth.v3.Authorization'];
  if (definition === undefined || 'format' in definition) throw new Error('the Authorization service is not described');
  const server = new Server();
  const answer = { status: { code: 0 }, okResponse: {} };
  server.addService(definition, {
    Check: (_call: unknown, callback: (error: null, value: object) => void) => callback(null, answer),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return `127.0.0.1:${port}`;
}

/** Runs as the server process: says where it listens, and its CPU time whenever asked. */
async function runServer(variant: Variant): Promise<void> {
  const [key] = (await once(process, 'message')) as [string];
  process.send?.(await serve(variant, key));
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.once('disconnect', () => process.exit(0));
}

async function startServer(variant: Variant, key: string) {
  const child = fork(fileURLToPath(import.meta.url), ['--serve', variant]);
  const ask = async (question: string): Promise<unknown> => {
    const answer = once(child, 'message');
    child.send(question);
    return (await answer)[0];
  };
  const address = String(await ask(key));
  const client = new Client(address, credentials.createInsecure());
  return {
    client,
    cpuMicroseconds: async () => Number(await ask('cpu')),
    stop: async () => {
      client.close();
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}

const same = (bytes: Buffer): Buffer => bytes;

/** Keeps `IN_FLIGHT` checks going until `isEnough`; returns how many were answered. */
async function load(client: Client, requests: readonly Buffer[], isEnough: (done: number) => boolean): Promise<number> {
  let sent = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (!isEnough(done)) {
      const request = requests[sent % requests.length] ?? Buffer.alloc(0);
      sent += 1;
      await new Promise<void>((resolve, reject) => {
        client.makeUnaryRequest(CHECK_PATH, same, same, request, (error) =>
          error === null ? resolve() : reject(error),
        );
      });
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  return done;
}

function option(name: string, fallback: number): number {
  const at = process.argv.indexOf(name);
  const value = at < 0 ? fallback : Number(process.argv[at + 1]);
  if (!(value > 0)) throw new TypeError(`${name} takes a number above 0`);
  return value;
}

async function runBench(): Promise<void> {
  const rounds = option('--rounds', 5);
  const seconds = option('--seconds', 1);
  const work = workload();
  const pem = work.key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const servers = { ours: await startServer('ours', pem), 'proto-loader': await startServer('proto-loader', pem) };

  const perCheck = async (variant: Variant): Promise<number> => {
    const { client, cpuMicroseconds } = servers[variant];
    const before = await cpuMicroseconds();
    const endsAt = performance.now() + seconds * 1000;
    const done = await load(client, work.requests, () => performance.now() >= endsAt);
    return ((await cpuMicroseconds()) - before) / done;
  };
  const pure = (): number => {
    const before = process.cpuUsage();
    for (let index = 0; index < PURE_CHECKS_PER_RUN; index += 1) {
      work.check.check(work.requests[index % USERS_COUNT] ?? Buffer.alloc(0));
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / PURE_CHECKS_PER_RUN;
  };

  try {
    for (const { client } of Object.values(servers))
      await load(client, work.requests, (done) => done >= WARM_UP_CHECKS);
    pure();
    const results = await interleave(
      { pure, ours: () => perCheck('ours'), loader: () => perCheck('proto-loader') },
      rounds,
    );
    if (work.denials.length > 0) throw new Error(`a check was denied: ${JSON.stringify(work.denials[0])}`);
    report({ pure: summarise(results.pure), ours: summarise(results.ours), loader: summarise(results.loader) });
  } finally {
    await Promise.all([servers.ours.stop(), servers['proto-loader'].stop()]);
  }
}

function report(result: Readonly<Record<'pure' | 'ours' | 'loader', ReturnType<typeof summarise>>>): void {
  const ratio = result.ours.median / result.loader.median;
  printTable([
    ['CPU per check, median (spread)', 'us'],
    ['our check, no transport', shown(result.pure, 2)],
    ['our check, grpc-js with bytes passed through', shown(result.ours)],
    ['always allow, grpc-js and proto-loader', shown(result.loader)],
    ['ours / always allow', ratio.toFixed(2)],
  ]);
  printJson({
    bench: 'check',
    check_us: result.pure.median,
    ours_us: result.ours.median,
    proto_loader_us: result.loader.median,
    ratio,
    runs: result.ours.runs,
    in_flight: IN_FLIGHT,
  });
}

const serveAt = process.argv.indexOf('--serve');
if (serveAt < 0) await runBench();
else await runServer(process.argv[serveAt + 1] === 'ours' ? 'ours' : 'proto-loader');
