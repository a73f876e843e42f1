import type { LateText } from './late-text.ts';
import { bytesTag, type ProtobufReader } from './protobuf-reader.ts';

/** Field numbers of `AttributeContext.Peer`, `envoy.config.core.v3.Address` and `SocketAddress`. */
const PEER = { address: bytesTag(1) } as const;
const ADDRESS = { socketAddress: bytesTag(1) } as const;
const SOCKET_ADDRESS = { address: bytesTag(2) } as const;

/** Reads the address of a peer, where the reader stands at one. @throws MalformedMessage */
export function scanPeerAddress(reader: ProtobufReader, found: LateText): void {
  const peerEnd = reader.enter();
  while (reader.next()) {
    if (reader.tag !== PEER.address) {
      reader.skip();
      continue;
    }
    const addressEnd = reader.enter();
    while (reader.next()) {
      if (reader.tag === ADDRESS.socketAddress) scanSocketAddress(reader, found);
      else reader.skip();
    }
    reader.leave(addressEnd);
  }
  reader.leave(peerEnd);
}

function scanSocketAddress(reader: ProtobufReader, found: LateText): void {
  const end = reader.enter();
  while (reader.next()) {
    if (reader.tag === SOCKET_ADDRESS.address) {
      reader.spanBytes();
      found.take();
    } else reader.skip();
  }
  reader.leave(end);
}
