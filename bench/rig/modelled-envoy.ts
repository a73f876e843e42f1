import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { type ReadResponse, readResponse } from '../../test/unit/xds/simulation/read-response.ts';
import { DELTA_ADS_PATH } from '../../xds/ads/server.ts';
import { stampOfVersion } from '../../xds/snapshot/resource.ts';
import { type ResourceType, resourceTypeOf, TYPE_URL } from '../../xds/snapshot/resource-types.ts';
import { monotonicMs } from './harness.ts';

/** Field numbers of envoy.service.discovery.v3.DeltaDiscoveryRequest and of what is in it. */
const REQUEST = { node: 1, typeUrl: 2, subscribe: 3, unsubscribe: 4, initialVersions: 5, nonce: 6 } as const;
const NODE_ID = 1;
const MAP = { key: 1, value: 2 } as const;

const bytes = (value: Buffer): Buffer => value;

export interface Receipt {
  readonly node: string;
  /** The routing revision that this Envoy would route by from now on. */
  readonly stamp: number;
  /** `monotonicMs` when it could be acknowledged. */
  readonly atMs: number;
}

interface RequestMembers {
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initialVersions?: ReadonlyMap<string, string>;
  readonly nonce?: string;
}

/**
 * What an Envoy is to the control plane: subscribes as one does, takes and acknowledges everything, asks for the
 * endpoints of each cluster it is told of, and comes back with the versions it has. It routes nothing.
 */
export class ModelledEnvoy implements Disposable {
  readonly node: string;
  readonly #address: string;
  readonly #onReceipt: (receipt: Receipt) => void;
  readonly #versions: Readonly<Record<ResourceType, Map<string, string>>> = {
    cluster: new Map(),
    endpoint: new Map(),
    secret: new Map(),
    listener: new Map(),
    route: new Map(),
  };
  /** Requests of the next connection that were made beforehand. */
  readonly #prepared = new Map<ResourceType, Buffer>();
  #client: Client | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;

  constructor(options: {
    readonly node: string;
    /** host:port of the ADS server. */
    readonly address: string;
    readonly onReceipt: (receipt: Receipt) => void;
  }) {
    this.node = options.node;
    this.#address = options.address;
    this.#onReceipt = options.onReceipt;
  }

  /**
   * Makes the large requests of the next connection now. Real Envoys make theirs at the same time, each on a processor
   * of its own; here it would be one after the other, and the control plane would look slow.
   */
  prepare(): void {
    this.#prepared.set('cluster', this.#clusterRequest());
    this.#prepared.set('endpoint', this.#endpointRequest());
  }

  /** Opens a connection of its own, after ending the one there is, and tells what it holds already. */
  connect(): void {
    this[Symbol.dispose]();
    // Clients of one process would share a connection to the same address otherwise.
    this.#client = new Client(this.#address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': -1,
    });
    const stream = this.#client.makeBidiStreamRequest(DELTA_ADS_PATH, bytes, bytes);
    this.#stream = stream;
    stream.on('data', (data: Buffer) => {
      if (stream === this.#stream) this.#take(readResponse(data));
    });
    stream.on('error', (error) => {
      if (stream === this.#stream) throw new Error(`${this.node} lost its stream`, { cause: error });
    });
    stream.write(this.#prepared.get('cluster') ?? this.#clusterRequest());
    this.#ask('listener', { initialVersions: this.#versions.listener });
    this.#ask('secret', { subscribe: ['edge'], initialVersions: this.#versions.secret });
    if (this.#versions.endpoint.size > 0) stream.write(this.#prepared.get('endpoint') ?? this.#endpointRequest());
    this.#ask('route', { subscribe: ['gateway'], initialVersions: this.#versions.route });
    this.#prepared.clear();
  }

  [Symbol.dispose](): void {
    const [stream, client] = [this.#stream, this.#client];
    this.#stream = undefined;
    stream?.cancel();
    client?.close();
  }

  #take(response: ReadResponse): void {
    const type = resourceTypeOf(response.typeUrl);
    if (type === undefined) throw new Error(`an unknown type ${response.typeUrl}`);
    const held = this.#versions[type];
    for (const { name, version } of response.resources) held.set(name, version);
    for (const name of response.removed) held.delete(name);
    this.#ask(type, { nonce: response.nonce });
    if (type === 'cluster') this.#followEndpoints(response);
    if (type !== 'route') return;
    const stamps = response.resources.map(({ version }) => stampOfVersion(version));
    this.#onReceipt({ node: this.node, stamp: Math.max(...stamps), atMs: monotonicMs() });
  }

  #followEndpoints({ resources, removed }: ReadResponse): void {
    const gone = removed.filter((name) => this.#versions.endpoint.delete(name));
    const subscribe = resources.map(({ name }) => name).filter((name) => !this.#versions.endpoint.has(name));
    if (subscribe.length + gone.length > 0) this.#ask('endpoint', { subscribe, unsubscribe: gone });
  }

  #clusterRequest(): Buffer {
    return this.#encode('cluster', { initialVersions: this.#versions.cluster });
  }

  #endpointRequest(): Buffer {
    const { endpoint } = this.#versions;
    return this.#encode('endpoint', { subscribe: [...endpoint.keys()], initialVersions: endpoint });
  }

  #ask(type: ResourceType, members: RequestMembers): void {
    this.#stream?.write(this.#encode(type, members));
  }

  #encode(type: ResourceType, members: RequestMembers): Buffer {
    const writer = new BinaryWriter();
    const text = (field: number, value: string) => writer.tag(field, WireType.LengthDelimited).string(value);
    writer.tag(REQUEST.node, WireType.LengthDelimited).fork();
    text(NODE_ID, this.node);
    writer.join();
    text(REQUEST.typeUrl, TYPE_URL[type]);
    for (const name of members.subscribe ?? []) text(REQUEST.subscribe, name);
    for (const name of members.unsubscribe ?? []) text(REQUEST.unsubscribe, name);
    for (const [name, version] of members.initialVersions ?? []) {
      writer.tag(REQUEST.initialVersions, WireType.LengthDelimited).fork();
      text(MAP.key, name);
      text(MAP.value, version);
      writer.join();
    }
    if (members.nonce !== undefined) text(REQUEST.nonce, members.nonce);
    return Buffer.from(writer.finish());
  }
}
