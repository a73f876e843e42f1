import type { JsonObject } from '@bufbuild/protobuf';
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from '@grpc/grpc-js';

/**
 * grpc.health.v1 of a process that is healthy as long as it is not stopping. It answers the same for every service
 * name: all of them live and die together.
 */
export class GrpcHealth {
  #serving = true;
  readonly #watchers = new Set<ServerWritableStream<unknown, JsonObject>>();

  readonly handlers: UntypedServiceImplementation = {
    Check: (_call: ServerUnaryCall<unknown, JsonObject>, answer: sendUnaryData<JsonObject>) =>
      answer(null, this.#state()),
    List: (_call: ServerUnaryCall<unknown, JsonObject>, answer: sendUnaryData<JsonObject>) =>
      answer(null, { statuses: { '': this.#state() } }),
    Watch: (stream: ServerWritableStream<unknown, JsonObject>) => {
      stream.write(this.#state());
      if (!this.#serving) {
        stream.end();
        return;
      }
      this.#watchers.add(stream);
      stream.on('cancelled', () => this.#watchers.delete(stream));
    },
  };

  /** Says NOT_SERVING from now on, to watchers as well, and ends their streams so that the server can close. */
  stop(): void {
    this.#serving = false;
    for (const stream of this.#watchers) {
      stream.write(this.#state());
      stream.end();
    }
    this.#watchers.clear();
  }

  #state(): JsonObject {
    return { status: this.#serving ? 'SERVING' : 'NOT_SERVING' };
  }
}
