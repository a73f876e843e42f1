import { readFileSync } from 'node:fs';
import {
  type DescMessage,
  type FileRegistry,
  fromBinary,
  type JsonObject,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import {
  type ChannelCredentials,
  Client,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  type Metadata,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer } from '@grpc/proto-loader';
import { loadRegistry, messageFromJson, messageType } from '#platform/proto-registry.ts';

const DESCRIPTOR_SET = new URL('../../../proto/command-service.binpb', import.meta.url);
const SERVICE = 'aggregate.gateway.v1.CommandService';
const HEALTH_SERVICE = 'grpc.health.v1.Health';

/** The services an aggregate node speaks, with the types of their messages. */
export interface CommandProtocol {
  readonly registry: FileRegistry;
  readonly commands: ServiceDefinition;
  readonly health: ServiceDefinition;
}

/**
 * Loads both services from the published descriptor set. The services come from proto-loader; their messages are coded
 * by protobuf-es instead, because proto-loader reads the map fields of a descriptor set as lists of entries, which
 * makes a Struct unusable. A server gets each request as a protobuf-es message and answers in protobuf JSON; a client
 * speaks JSON both ways. JSON has the original field names, 64-bit integers as texts and every default written out.
 */
export function loadCommandProtocol(): CommandProtocol {
  const bytes = readFileSync(DESCRIPTOR_SET);
  const registry = loadRegistry([bytes]);
  const loaded = loadFileDescriptorSetFromBuffer(bytes);
  const service = (name: string): ServiceDefinition => {
    const definition = loaded[name];
    const described = registry.getService(name);
    if (definition === undefined || described === undefined) throw new Error(`${name} is not in the descriptor set`);
    return Object.fromEntries(
      described.methods.map((method) => {
        const codecs = {
          ...encoding(registry, method.input.typeName, 'request'),
          ...encoding(registry, method.output.typeName, 'response'),
        };
        return [method.name, { ...Reflect.get(definition, method.name), ...codecs }];
      }),
    );
  };
  return { registry, commands: service(SERVICE), health: service(HEALTH_SERVICE) };
}

/** The two codecs of one direction. */
function encoding(registry: FileRegistry, typeName: string, direction: 'request' | 'response') {
  const type = messageType(registry, typeName);
  return {
    [`${direction}Serialize`]: (json: JsonObject) =>
      Buffer.from(toBinary(type, messageFromJson(registry, typeName, json))),
    [`${direction}Deserialize`]: (bytes: Buffer): Message | JsonValue =>
      direction === 'request' ? readRequest(type, bytes) : messageJson(registry, fromBinary(type, bytes)),
  };
}

/** What a server gets for bytes that are no message: an error of the codec would be INTERNAL, as if it were its fault. */
const UNREADABLE = 'unreadable';

function readRequest(type: DescMessage, bytes: Buffer): Message | typeof UNREADABLE {
  try {
    return fromBinary(type, bytes);
  } catch {
    return UNREADABLE;
  }
}

/** A message in protobuf JSON as this service's contract has it. */
export const messageJson = (registry: FileRegistry, message: Message): JsonValue =>
  toJson(messageType(registry, message.$typeName), message, {
    registry,
    useProtoFieldName: true,
    alwaysEmitImplicit: true,
  });

/** What a call ended with: an answer, or the error grpc-js makes of any other status. */
export interface CallResult {
  readonly response?: JsonObject;
  readonly error?: ServiceError;
  /** Initial metadata; of a "trailers only" answer nothing. */
  readonly headers?: Metadata;
  readonly trailers?: Metadata;
}

/** A client of the command service and of the health service, for tests and load. */
export class CommandClient implements Disposable {
  readonly #client: Client;
  readonly #protocol: CommandProtocol;

  /**
   * @param address host:port
   * @param security HTTP/2 in clear without it
   */
  constructor(
    address: string,
    protocol: CommandProtocol = loadCommandProtocol(),
    security: ChannelCredentials = credentials.createInsecure(),
  ) {
    this.#client = new Client(address, security);
    this.#protocol = protocol;
  }

  /** Calls back whenever the connection is lost after it stood. */
  onConnectionLost(lost: () => void): void {
    const channel = this.#client.getChannel();
    const follow = (before: connectivityState): void => {
      channel.watchConnectivityState(before, Number.POSITIVE_INFINITY, (error) => {
        if (error !== undefined) return;
        const now = channel.getConnectivityState(false);
        if (before === connectivityState.READY && now !== connectivityState.SHUTDOWN) lost();
        if (now !== connectivityState.SHUTDOWN) follow(now);
      });
    };
    follow(channel.getConnectivityState(false));
  }

  submit(request: JsonObject, metadata: Metadata, options: { readonly deadlineMs?: number } = {}): Promise<CallResult> {
    return this.#call(this.#protocol.commands, 'SubmitCommand', {
      request,
      metadata,
      deadlineMs: options.deadlineMs ?? 10_000,
    });
  }

  checkHealth(metadata: Metadata, service = ''): Promise<CallResult> {
    return this.#call(this.#protocol.health, 'Check', { request: { service }, metadata, deadlineMs: 5_000 });
  }

  #call(
    service: ServiceDefinition,
    method: string,
    call: { readonly request: JsonObject; readonly metadata: Metadata; readonly deadlineMs: number },
  ): Promise<CallResult> {
    const definition = service[method];
    if (definition === undefined) throw new Error(`there is no method ${method}`);
    return new Promise((resolve) => {
      let headers: Metadata | undefined;
      let outcome: CallResult = {};
      const running: ClientUnaryCall = this.#client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        call.request,
        call.metadata,
        { deadline: Date.now() + call.deadlineMs },
        (error, response) => {
          outcome = { ...(error === null ? {} : { error }), ...(response === undefined ? {} : { response }) };
        },
      );
      running.on('metadata', (metadata) => {
        headers = metadata;
      });
      running.on('status', (status) => {
        // The callback runs in the same turn, before or after this event.
        queueMicrotask(() =>
          resolve({ ...outcome, ...(headers === undefined ? {} : { headers }), trailers: status.metadata }),
        );
      });
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
