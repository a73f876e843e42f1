import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { replaceFile } from '#platform/replace-file.ts';
import { makeServerCertificate } from '../../../src/launcher/data/make-certificates.ts';
import type { EndpointProcess } from '../../../test/support/load/endpoint-process.ts';
import type { Publisher } from '../../../test/support/load/publishers.ts';
import { until } from '../../../test/support/wait.ts';
import type { TwoAuthz } from '../../../test/system/graceful/two-authz.ts';
import { monotonicMs } from '../harness.ts';
import type { EdgeDiary } from './edge-diary.ts';

/** How often each thing is done in a run of full length. */
const EVERY_MS = { rotation: 60_000, move: 1_000, authz: 50_000, endpoint: 40_000, xds: 70_000 } as const;
/** A shorter run does more of it per minute, down to what the programs need to start again. */
const FULL_LENGTH_MS = 180_000;
const DEAD_MS = 1_500;
const DEADLINE_MS = 60_000;
const DAY_MS = 86_400_000;

/** What is disturbed. */
export interface Disturbed {
  readonly edge: TwoAuthz;
  readonly dataFolder: string;
  readonly pair: readonly [EndpointProcess, EndpointProcess];
  readonly publisher: Publisher;
  /** The tenant that is moved between the pair and `s1`. */
  readonly mover: string;
  readonly diary: EdgeDiary;
}

/**
 * Does everything that a gateway must stand, each at its own pace, until `signal` aborts; what has begun is brought to
 * its end. @throws what a disturbance failed with: then the run says nothing
 */
export async function disturb(disturbed: Disturbed, durationMs: number, signal: AbortSignal): Promise<void> {
  const scale = Math.min(1, durationMs / FULL_LENGTH_MS);
  const every = (name: keyof typeof EVERY_MS, work: (turn: number) => Promise<void>) =>
    repeat({ periodMs: name === 'move' ? EVERY_MS.move : EVERY_MS[name] * scale, signal, work });
  await Promise.all([
    every('rotation', () => rotate(disturbed)),
    every('move', (turn) => move(disturbed, turn)),
    every('authz', (turn) => restartAuthz(disturbed, turn)),
    every('endpoint', (turn) => killEndpoint(disturbed, turn)),
    every('xds', (turn) => restartXds(disturbed, turn)),
  ]);
}

/** One after the other, each at the next multiple of the period, the first after half of one. */
async function repeat(options: {
  readonly periodMs: number;
  readonly signal: AbortSignal;
  readonly work: (turn: number) => Promise<void>;
}): Promise<void> {
  const { periodMs, signal, work } = options;
  const startMs = monotonicMs() + periodMs / 2;
  for (let turn = 0, beat = 0; ; turn += 1) {
    await sleep(Math.max(0, startMs + beat * periodMs - monotonicMs()), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    await work(turn);
    beat = Math.max(beat + 1, Math.ceil((monotonicMs() - startMs) / periodMs));
  }
}

/** New files for the TLS listener, as an operator or a renewal job replaces them; ends when it serves the new one. */
async function rotate({ dataFolder, diary, edge }: Disturbed): Promise<void> {
  const file = (name: string) => join(dataFolder, 'tls', name);
  const authority = {
    certificate: await readFile(file('ca.pem'), 'utf8'),
    key: await readFile(file('ca.key'), 'utf8'),
  };
  const now = Date.now();
  const validity = { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 90 * DAY_MS) };
  const made = await makeServerCertificate(authority, validity);
  await diary.during('rotation', 'certificate of the TLS listener', async () => {
    const before = await fingerprint(edge.https);
    await replaceFile(file('server.key'), made.key);
    await replaceFile(file('server.pem'), made.certificate, 0o644);
    const isNew = async () => (await fingerprint(edge.https)) !== before;
    await until(isNew, { deadlineMs: DEADLINE_MS, what: 'the listener to show its new certificate' });
  });
}

const fingerprint = (https: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname: host, port } = new URL(https);
    // Only the fingerprint is wanted; the clients under load verify.
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.once('error', reject);
  });

async function move({ publisher, mover, diary }: Disturbed, turn: number): Promise<void> {
  const shard = turn % 2 === 0 ? 's1' : 'pair';
  const change = { tenant: mover, aggregate: shard, projection: shard, runner: shard };
  await diary.during('move', `${mover} to ${shard}`, () => publisher.publish({ changes: [change] }));
}

/** In turn each replica, in turn with SIGTERM and with kill -9; ends when Envoy uses it again. */
async function restartAuthz({ edge, diary }: Disturbed, turn: number): Promise<void> {
  const replica = edge.replicas[turn % 2 === 0 ? 0 : 1];
  const isGraceful = Math.floor(turn / 2) % 2 === 0 ? turn % 2 === 0 : turn % 2 === 1;
  await diary.during(isGraceful ? 'authz restart' : 'authz kill', replica.name, async () => {
    await replica.stop(isGraceful ? 'SIGTERM' : 'SIGKILL');
    await replica.start();
    await edge.untilHealthy();
  });
}

/** In turn each endpoint of the pair; ends when it has done some work again. */
async function killEndpoint({ pair, diary }: Disturbed, turn: number): Promise<void> {
  const endpoint = pair[turn % 2 === 0 ? 0 : 1];
  await diary.during('endpoint kill', Object.values(endpoint.ports).join(' '), async () => {
    const before = (await endpoint.executed()).length;
    await endpoint.kill();
    await sleep(DEAD_MS);
    await endpoint.start();
    const isAsked = async () => (await endpoint.executed()).length > before;
    await until(isAsked, { deadlineMs: DEADLINE_MS, what: 'the endpoint to be asked again' });
  });
}

async function restartXds({ edge, diary }: Disturbed, turn: number): Promise<void> {
  const isGraceful = turn % 2 === 0;
  await diary.during(isGraceful ? 'xds restart' : 'xds kill', edge.xds.name, async () => {
    await edge.xds.stop(isGraceful ? 'SIGTERM' : 'SIGKILL');
    await edge.xds.start();
  });
}
