import {
  Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { LIMITS } from '#domain/limits.ts';
import { hostAndPort, listenGrpc } from '#platform/internal-tls/grpc-listen.ts';
import type { ServerTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import type { Log } from '#platform/log.ts';
import { parseDeltaRequest } from './delta-request.ts';
import { RequestQueue } from './request-queue.ts';
import type { AdsSession } from './session.ts';
import type { SessionPort } from './session-context.ts';

/** The incremental aggregated stream; messages stay bytes here. */
export const DELTA_ADS_PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
/** HTTP/2 pings both ways find a half-open connection (Envoy's side is in its bootstrap). */
const KEEPALIVE_TIME_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 5_000;
const STOP_BOUND_MS = 2_000;
const STOPPING = 'this replica is stopping';

const passThrough = (bytes: Buffer): Buffer => bytes;
const ADS_SERVICE = {
  DeltaAggregatedResources: {
    path: DELTA_ADS_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  },
} as const;

type Stream = ServerDuplexStream<Buffer, Buffer>;

/** Whoever holds the state: opens a session for each stream. */
export interface SessionHost {
  readonly isReady: boolean;
  open(port: Omit<SessionPort, 'onChange'>): AdsSession;
  close(session: AdsSession): void;
}

/** Another gRPC service on the same port. */
export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  /** Ends the streams that are open; new ones are refused from then on. */
  readonly stop: () => void;
}

export interface AdsServer extends AsyncDisposable {
  /** `host:port`; with port 0 the one that was free. */
  readonly address: string;
  streamsCount(): number;
}

/** Serves delta ADS, with `tls` to its clients alone. @throws Error when it cannot listen */
export async function startAdsServer(options: {
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: ServerTls | undefined;
  readonly host: SessionHost;
  readonly services?: readonly GrpcService[];
  readonly log: Log;
}): Promise<AdsServer> {
  const { host, log, services = [] } = options;
  const requests = new RequestQueue();
  const streams = new Set<Stream>();
  let isStopping = false;
  const server = new Server({
    'grpc.max_receive_message_length': LIMITS.xdsMessageMaxBytes,
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  });
  server.addService(ADS_SERVICE, {
    DeltaAggregatedResources: (stream: Stream) => {
      // An Envoy may open its next stream on the same connection before it has read that the connection ends too.
      if (isStopping) refuse(stream, STOPPING);
      else serve(stream, { host, requests, log, streams });
    },
  });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const { listen, tls } = options;
  const listener = await listenGrpc(server, { listen, tls });
  const port = listener.port ?? listen.port;
  log.info({ host: listen.host, port, tls: tls !== undefined }, 'ADS listens');
  return {
    address: hostAndPort({ host: listen.host, port }),
    streamsCount: () => streams.size,
    [Symbol.asyncDispose]: async () => {
      isStopping = true;
      listener.stopListening();
      for (const stream of streams) refuse(stream, STOPPING);
      for (const service of services) service.stop();
      const overdue = setTimeout(() => server.forceShutdown(), STOP_BOUND_MS);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(overdue);
    },
  };
}

interface Serving {
  readonly host: SessionHost;
  readonly requests: RequestQueue;
  readonly log: Log;
  readonly streams: Set<Stream>;
}

/**
 * One stream: bytes in, bytes out. It reads on while the client does not, and stops writing then (`write` is false
 * until `drain`), so neither side can block the other and nothing piles up.
 */
function serve(stream: Stream, { host, requests, log, streams }: Serving): void {
  if (!host.isReady) {
    refuse(stream, 'no routing revision is loaded yet');
    return;
  }
  const peer = stream.getPeer();
  const session = host.open({
    send: (bytes) => stream.write(bytes),
    refuse: (reason) => {
      log.warn({ peer, node: session.node, reason }, 'stream refused');
      refuse(stream, reason);
    },
  });
  streams.add(stream);
  const end = (): void => {
    if (!streams.delete(stream)) return;
    requests.drop(stream);
    log.info({ peer, node: session.node }, 'stream ended');
    host.close(session);
  };
  const receive = (bytes: Buffer): void => {
    try {
      session.receive(parseDeltaRequest(bytes));
    } catch (error) {
      log.error({ err: error, peer, node: session.node }, 'request failed');
      refuse(stream, 'the request cannot be read');
    }
  };
  stream.on('data', (bytes: Buffer) => requests.push(stream, bytes, receive));
  stream.on('drain', () => session.drained());
  stream.on('end', () => {
    end();
    stream.end();
  });
  for (const event of ['cancelled', 'error', 'close'] as const) stream.on(event, end);
}

/** UNAVAILABLE: Envoy keeps what it has and tries again, here or at another replica. */
function refuse(stream: Stream, details: string): void {
  stream.emit('error', { code: status.UNAVAILABLE, details });
}
