import type { JsonObject } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { encodeJson } from '#platform/proto-registry.ts';
import { DELTA_ADS_PATH } from '../../../../xds/ads/server.ts';
import { type ResourceType, TYPE_URL } from '../../../../xds/snapshot/resource-types.ts';
import { until } from '../../../support/wait.ts';
import { type ReadResponse, readResponse } from '../../../unit/xds/simulation/read-response.ts';
import { registry } from './stub-authz.ts';

const bytes = (value: Buffer): Buffer => value;

/** A delta ADS client that says exactly what the test says, over real gRPC. */
export class AdsClient implements Disposable {
  readonly responses: ReadResponse[] = [];
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  #read = 0;
  ended: { readonly code: number; readonly details: string } | undefined;

  /** @param maxMessageBytes of a response */
  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
    this.#stream = this.#client.makeBidiStreamRequest(DELTA_ADS_PATH, bytes, bytes);
    this.#stream.on('data', (data: Buffer) => this.responses.push(readResponse(data)));
    this.#stream.on('status', ({ code, details }) => {
      this.ended = { code, details };
    });
    this.#stream.on('error', (_: ServiceError) => undefined);
  }

  /** One DeltaDiscoveryRequest; the node is always named, as the protocol allows. */
  ask(type: ResourceType, members: JsonObject = {}): void {
    const request = { node: { id: 'test-client' }, type_url: TYPE_URL[type], ...members };
    this.#stream.write(Buffer.from(encodeJson(registry, 'envoy.service.discovery.v3.DeltaDiscoveryRequest', request)));
  }

  ack(response: ReadResponse): void {
    this.#answer(response, {});
  }

  nack(response: ReadResponse, message: string): void {
    this.#answer(response, { error_detail: { code: 3, message } });
  }

  /** The next response that was not taken yet. */
  async next(): Promise<ReadResponse> {
    const response = await until(() => this.responses[this.#read], { deadlineMs: 5_000, what: 'a response' });
    this.#read += 1;
    return response;
  }

  /** Whether everything that was sent was taken, after the server had the time to send more. */
  async isQuiet(): Promise<boolean> {
    // A round trip: an unknown name is always answered, after whatever was to come before it.
    const probe = `probe-${this.responses.length}-${this.#read}`;
    this.ask('secret', { resource_names_subscribe: [probe] });
    const response = await this.next();
    this.ask('secret', { response_nonce: response.nonce, resource_names_unsubscribe: [probe] });
    return response.removed.includes(probe);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
    this.#client.close();
  }

  #answer(response: ReadResponse, members: JsonObject): void {
    const type = (Object.keys(TYPE_URL) as ResourceType[]).find((each) => TYPE_URL[each] === response.typeUrl);
    if (type === undefined) throw new Error(`an unknown type ${response.typeUrl}`);
    this.ask(type, { response_nonce: response.nonce, ...members });
  }
}
