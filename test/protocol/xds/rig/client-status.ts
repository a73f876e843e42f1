import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { decodeToJson, encodeJson } from '#platform/proto-registry.ts';
import { registry } from './stub-authz.ts';

const SERVICE = '/envoy.service.status.v3.ClientStatusDiscoveryService';
const bytes = (value: Buffer): Buffer => value;
const requestOf = (request: JsonObject) =>
  Buffer.from(encodeJson(registry, 'envoy.service.status.v3.ClientStatusRequest', request));

/** One resource in a status answer, in the names of the proto. */
interface ToldResource {
  readonly type_url: string;
  readonly name: string;
  readonly version_info?: string;
  readonly xds_config?: Readonly<Record<string, JsonValue>>;
  readonly last_updated?: string;
  readonly config_status: string;
  readonly client_status: string;
  readonly error_state?: { readonly details: string; readonly last_update_attempt: string };
}

export interface ToldClient {
  readonly node: { readonly id: string };
  readonly generic_xds_configs?: readonly ToldResource[];
}

/** The strictly decoded configs of an answer. */
const configsOf = (answer: Buffer): readonly ToldClient[] => {
  const { config } = decodeToJson(registry, 'envoy.service.status.v3.ClientStatusResponse', answer) as {
    readonly config?: readonly ToldClient[];
  };
  return config ?? [];
};

/** Asks as a tool that knows nothing but the Envoy API. @throws ServiceError */
export async function fetchClientStatus(address: string, request: JsonObject = {}): Promise<readonly ToldClient[]> {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.max_receive_message_length': -1 });
  try {
    const answer = await new Promise<Buffer>((resolve, reject) => {
      client.makeUnaryRequest(`${SERVICE}/FetchClientStatus`, bytes, bytes, requestOf(request), (error, value) => {
        if (value === undefined) reject(error);
        else resolve(value);
      });
    });
    return configsOf(answer);
  } finally {
    client.close();
  }
}

/** The answers to several requests on one stream, which is ended then. */
export async function streamClientStatus(
  address: string,
  requests: readonly JsonObject[],
): Promise<readonly (readonly ToldClient[])[]> {
  const client = new Client(address, credentials.createInsecure());
  try {
    const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
      `${SERVICE}/StreamClientStatus`,
      bytes,
      bytes,
    );
    for (const request of requests) stream.write(requestOf(request));
    stream.end();
    const answers: (readonly ToldClient[])[] = [];
    await new Promise<void>((resolve, reject) => {
      stream.on('data', (data: Buffer) => answers.push(configsOf(data)));
      stream.on('error', (error: ServiceError) => reject(error));
      stream.on('end', resolve);
    });
    return answers;
  } finally {
    client.close();
  }
}

/** Streams that are asked so often, with nobody to read more than the first answer. @returns what cancels them */
export function neglectClientStatus(
  address: string,
  { streamsCount, requestsCount }: { readonly streamsCount: number; readonly requestsCount: number },
): () => void {
  const client = new Client(address, credentials.createInsecure());
  const streams = Array.from({ length: streamsCount }, () => {
    const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
      `${SERVICE}/StreamClientStatus`,
      bytes,
      bytes,
    );
    stream.on('error', () => {}); // the cancellation
    // A grpc-js client that never read takes in everything; one that has begun to can stop.
    stream.once('data', () => stream.pause());
    for (let count = 0; count < requestsCount; count += 1) stream.write(requestOf({}));
    return stream;
  });
  return () => {
    for (const stream of streams) stream.cancel();
    client.close();
  };
}
