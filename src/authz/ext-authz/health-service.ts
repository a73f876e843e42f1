import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { bytesTag, MalformedMessage, ProtobufReader } from './wire/protobuf-reader.ts';
import { BackwardWriter } from './wire/protobuf-writer.ts';

/** Names for which `grpc.health.v1.Health` answers: the whole server and the one service that Envoy calls. */
const KNOWN_SERVICES: ReadonlySet<string> = new Set(['', 'envoy.service.auth.v3.Authorization']);
/** `HealthCheckResponse.ServingStatus`. */
const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const SERVICE_FIELD = 1;
const STATUS_FIELD = 1;
const LOOK_EVERY_MS = 200;
const WATCHERS_MAX_COUNT = 1_000;

const passThrough = (bytes: Buffer): Buffer => bytes;
const method = (name: 'Check' | 'Watch', responseStream: boolean) => ({
  path: `/grpc.health.v1.Health/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: passThrough,
  requestDeserialize: passThrough,
  responseSerialize: passThrough,
  responseDeserialize: passThrough,
});

/** `grpc.health.v1.Health` as grpc-js takes it. */
export const HEALTH_SERVICE = { Check: method('Check', false), Watch: method('Watch', true) };

/**
 * The answers of the health service; `isServing` is asked each time, and every 200 ms for those who watch.
 * @param onAsked is told who was answered by `Check`
 */
export function createHealthService(
  isServing: () => boolean,
  onAsked: (peer: string) => void,
): UntypedServiceImplementation & Disposable {
  const watchers = new Set<Watcher>();
  const timer = setInterval(() => {
    for (const watcher of watchers) tell(watcher, isServing);
  }, LOOK_EVERY_MS);
  timer.unref();
  return {
    Check: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      const service = serviceOf(call.request);
      if (service === undefined) callback({ code: status.INVALID_ARGUMENT, details: 'malformed request' });
      else if (!KNOWN_SERVICES.has(service)) callback({ code: status.NOT_FOUND, details: 'no such service' });
      else {
        callback(null, statusMessage(isServing() ? SERVING : NOT_SERVING));
        onAsked(call.getPeer());
      }
    },
    Watch: (call: ServerWritableStream<Buffer, Buffer>) => {
      const service = serviceOf(call.request);
      if (service === undefined || watchers.size >= WATCHERS_MAX_COUNT) {
        call.destroy(Object.assign(new Error('cannot watch'), { code: status.RESOURCE_EXHAUSTED }));
        return;
      }
      const watcher: Watcher = { call, isKnown: KNOWN_SERVICES.has(service), told: 0 };
      watchers.add(watcher);
      call.on('cancelled', () => watchers.delete(watcher));
      tell(watcher, isServing);
    },
    [Symbol.dispose]: () => {
      clearInterval(timer);
      for (const { call } of watchers) call.end();
      watchers.clear();
    },
  };
}

interface Watcher {
  readonly call: ServerWritableStream<Buffer, Buffer>;
  readonly isKnown: boolean;
  told: number;
}

function tell(watcher: Watcher, isServing: () => boolean): void {
  const now = watcher.isKnown ? (isServing() ? SERVING : NOT_SERVING) : SERVICE_UNKNOWN;
  if (now === watcher.told) return;
  watcher.told = now;
  watcher.call.write(statusMessage(now));
}

function statusMessage(servingStatus: number): Buffer {
  const writer = new BackwardWriter(16);
  writer.number(STATUS_FIELD, servingStatus);
  return writer.finish();
}

/** The service asked for, '' for the whole server, undefined when the message is malformed. */
function serviceOf(request: Buffer): string | undefined {
  const reader = new ProtobufReader();
  reader.begin(request);
  let service = '';
  try {
    while (reader.next()) {
      if (reader.tag === bytesTag(SERVICE_FIELD)) {
        reader.spanBytes();
        service = reader.utf8(reader.from, reader.to);
      } else reader.skip();
    }
    return service;
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}
