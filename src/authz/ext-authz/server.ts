import { rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { Server, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { HEADER } from '#domain/headers.ts';
import { LIMITS } from '#domain/limits.ts';
import type { ListenAddress } from '#platform/env.ts';
import { hostAndPort, listenGrpc } from '#platform/internal-tls/grpc-listen.ts';
import type { ServerTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import type { Log } from '#platform/log.ts';
import { DrainNotice } from '../drain-notice.ts';
import type { Check } from './check.ts';
import type { CheckOrigin } from './check-trace.ts';
import { createHealthService, HEALTH_SERVICE } from './health-service.ts';
import { countConnections } from './open-connections.ts';
import type { SnapshotKeeper } from './snapshot-keeper.ts';
import { StampWaiters } from './stamp-waiters.ts';

/** The method that Envoy's ext_authz filter calls; messages stay bytes, the check reads and writes them itself. */
export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';
const passThrough = (bytes: Buffer): Buffer => bytes;
const AUTHORIZATION_SERVICE = {
  Check: {
    path: CHECK_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  },
};

export interface ExtAuthzServerOptions {
  readonly listen: ListenAddress;
  /** Who may ask; absent: everybody who reaches the address, in clear. */
  readonly tls?: ServerTls | undefined;
  readonly check: Check;
  readonly routing: Pick<SnapshotKeeper, 'onRevision' | 'newestRevision'>;
  /** Whether decisions can be made now: `grpc.health.v1` says it to Envoy. */
  readonly canDecide: () => boolean;
  readonly log: Log;
  /** Whether checks are told where they came from. */
  readonly traced?: boolean;
  /** How long a stamped routing revision is waited for; default `LIMITS.stampWaitMaxMs`. */
  readonly stampWaitMaxMs?: number;
}

export interface ExtAuthzServer extends AsyncDisposable {
  /** `host:port` or `unix:/path`; with port 0 the one that was free. */
  readonly address: string;
  /** Requests that wait for a routing revision now. */
  waitingCount(): number;
  /**
   * Says NOT_SERVING from now on, so that Envoy stops calling, and goes on answering. Resolves when all Envoys that ask
   * have noticed or none is connected, after `LIMITS.drainNoticeMaxMs` in any case. Ending it then loses no check.
   */
  drain(): Promise<void>;
}

/** Starts the ext_authz server. @throws Error when it cannot listen */
export async function startExtAuthzServer(options: ExtAuthzServerOptions): Promise<ExtAuthzServer> {
  const { check, log } = options;
  const notice = new DrainNotice();
  const waiters = new StampWaiters({ maxMs: options.stampWaitMaxMs ?? LIMITS.stampWaitMaxMs });
  const health = createHealthService(
    () => !notice.isLeaving && options.canDecide(),
    (peer) => notice.asked(peer),
  );
  const server = new Server({
    'grpc.max_receive_message_length': LIMITS.checkRequestMaxBytes,
    'grpc.max_concurrent_streams': LIMITS.extAuthzStreamsMaxCount,
  });
  server.addService(AUTHORIZATION_SERVICE, {
    Check: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      notice.called();
      answerCheck({
        call,
        callback,
        check,
        waiters,
        log,
        origin: options.traced === true ? originOf(call) : undefined,
      });
    },
  });
  server.addService(HEALTH_SERVICE, health);
  const unsubscribe = options.routing.onRevision(() => waiters.arrived(options.routing.newestRevision()));
  const { listen, tls } = options;
  if ('path' in listen) await removeStaleSocket(listen.path);
  const listener = await listenGrpc(server, { listen, tls });
  const address = addressOf(listen, listener.port);
  const connections = countConnections(listener.port, (peer) => notice.gone(peer));
  log.info({ address, tls: tls !== undefined }, 'ext_authz listens');
  return {
    address,
    waitingCount: () => waiters.count(),
    drain: () => notice.untilNoticed(() => connections.count()),
    [Symbol.asyncDispose]: async () => {
      notice.begin();
      unsubscribe();
      waiters[Symbol.dispose]();
      health[Symbol.dispose]();
      listener.stopListening();
      await shutDown(server);
      connections[Symbol.dispose]();
    },
  };
}

interface CheckCall {
  readonly call: ServerUnaryCall<Buffer, Buffer>;
  readonly callback: sendUnaryData<Buffer>;
  readonly check: Check;
  readonly waiters: StampWaiters;
  readonly log: Log;
  readonly origin: CheckOrigin | undefined;
}

/** Envoy's span of the call itself, which it passes on as any client of gRPC does. */
const originOf = ({ metadata }: ServerUnaryCall<Buffer, Buffer>): CheckOrigin => {
  const traceparent = metadata.get(HEADER.traceparent)[0];
  return { startedAt: performance.now(), traceparent: typeof traceparent === 'string' ? traceparent : undefined };
};

/** Answers at once, or as soon as the stamped routing revision is here, or when the time for that is up. */
function answerCheck(checkCall: CheckCall): void {
  const { call, callback, check, waiters, log, origin } = checkCall;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      // A bug. Envoy takes an error as a denial (failure_mode_allow is off).
      log.error({ err: error }, 'check failed');
      callback({ code: status.INTERNAL, details: 'check failed' });
    }
  };
  const answerFinally = () => attempt(() => callback(null, check.checkFinally(call.request, origin)));
  attempt(() => {
    const result = check.check(call.request, origin);
    if (result.kind === 'answer') {
      callback(null, result.bytes);
      return;
    }
    const giveUp = waiters.wait(result.revision, answerFinally);
    if (giveUp === undefined) answerFinally();
    else call.on('cancelled', giveUp);
  });
}

/** The address as clients name it. */
const addressOf = (listen: ListenAddress, port: number | undefined): string =>
  'path' in listen ? `unix:${listen.path}` : hostAndPort({ host: listen.host, port: port ?? listen.port });

/** A process that was killed leaves its socket file behind: it goes, unless somebody still answers there. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is no socket`);
  const isAnswered = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (isAnswered) throw new Error(`another process listens at ${path}`);
  await rm(path, { force: true });
}

/** GOAWAY on all connections. Lets calls under way end; after the time that Envoy waits for an answer they are cut. */
async function shutDown(server: Server): Promise<void> {
  const overdue = setTimeout(() => server.forceShutdown(), LIMITS.extAuthzTimeoutMs);
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  clearTimeout(overdue);
}
