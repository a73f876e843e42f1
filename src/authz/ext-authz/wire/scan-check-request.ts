import { LIMITS } from '#domain/limits.ts';
import { ATTRIBUTES, CHECK_REQUEST, HEADER_MAP, HEADER_VALUE, HTTP, NAMES, REQUEST } from './check-request-names.ts';
import { LateText } from './late-text.ts';
import { MALFORMED, MalformedMessage, ProtobufReader } from './protobuf-reader.ts';
import { type ExtractedFields, ExtractedFieldsScanner } from './scan-extracted-fields.ts';
import { scanPeerAddress } from './scan-peer-address.ts';

/** What a decision needs of a `CheckRequest`; an absent text is ''. Reused: valid until the next scan. */
export interface ScannedRequest {
  method: string;
  /** Path and query. */
  path: string;
  authorizationCount: number;
  authorization: string;
  readonly tenantHeaders: string[];
  /** Whether Envoy's transcoder made this request of a JSON one. */
  transcoded: boolean;
  /** The path of that JSON request, '' for any other. */
  readonly originalPath: LateText;
  stamp: string;
  target: string;
  readonly message: ExtractedFields;
  readonly requestId: LateText;
  readonly correlationId: LateText;
  /** The edge's span. */
  readonly traceparent: LateText;
  readonly contentType: LateText;
  /** What names a command whose message does not. */
  readonly commandId: LateText;
  readonly idempotencyKey: LateText;
  /** The shard that a platform admin asks for. */
  readonly runnerShard: LateText;
  /** Address of the peer that Envoy accepted the request from. */
  readonly sourceAddress: LateText;
}

/**
 * Reads `envoy.service.auth.v3.CheckRequest` in place, without making objects of it. Unknown fields are skipped, parts
 * of a message that come apart are merged as protobuf demands. Where protobuf would silently prefer one of two values
 * and the difference matters (a map key twice, a value of two kinds), the message is refused: Envoy sends no such thing.
 */
export class CheckRequestScanner {
  readonly #reader = new ProtobufReader();
  readonly #fields: ExtractedFieldsScanner;
  readonly #found: ScannedRequest = {
    method: '',
    path: '',
    authorizationCount: 0,
    authorization: '',
    tenantHeaders: [],
    transcoded: false,
    originalPath: new LateText(this.#reader),
    stamp: '',
    target: '',
    message: { aggregate_type: [], aggregate_id: [], command_id: [] },
    requestId: new LateText(this.#reader),
    correlationId: new LateText(this.#reader),
    traceparent: new LateText(this.#reader),
    contentType: new LateText(this.#reader),
    commandId: new LateText(this.#reader),
    idempotencyKey: new LateText(this.#reader),
    runnerShard: new LateText(this.#reader),
    sourceAddress: new LateText(this.#reader),
  };

  /** @returns what was found, or undefined when the bytes are malformed or too many. Never throws. */
  scan(bytes: Buffer): ScannedRequest | undefined {
    this.#reset();
    if (bytes.length > LIMITS.checkRequestMaxBytes) return undefined;
    this.#reader.begin(bytes);
    try {
      this.#checkRequest();
      return this.#found;
    } catch (error) {
      if (error instanceof MalformedMessage) return undefined;
      throw error;
    }
  }

  /** What was met, also before a message turned out to be malformed: good for addressing the refusal, nothing else. */
  get met(): ScannedRequest {
    return this.#found;
  }

  #reset(): void {
    const found = this.#found;
    found.method = '';
    found.path = '';
    found.authorizationCount = 0;
    found.authorization = '';
    found.tenantHeaders.length = 0;
    found.requestId.clear();
    found.correlationId.clear();
    found.traceparent.clear();
    found.contentType.clear();
    found.commandId.clear();
    found.idempotencyKey.clear();
    found.runnerShard.clear();
    found.sourceAddress.clear();
    found.transcoded = false;
    found.originalPath.clear();
    found.stamp = '';
    found.target = '';
    this.#fields.begin();
  }

  constructor() {
    this.#fields = new ExtractedFieldsScanner(this.#reader, this.#found.message);
  }

  #checkRequest(): void {
    const reader = this.#reader;
    while (reader.next()) {
      if (reader.tag !== CHECK_REQUEST.attributes) {
        reader.skip();
        continue;
      }
      const end = reader.enter();
      while (reader.next()) this.#attribute();
      reader.leave(end);
    }
  }

  #attribute(): void {
    switch (this.#reader.tag) {
      case ATTRIBUTES.source:
        scanPeerAddress(this.#reader, this.#found.sourceAddress);
        break;
      case ATTRIBUTES.request:
        this.#request();
        break;
      case ATTRIBUTES.contextExtensions:
        this.#contextExtension();
        break;
      case ATTRIBUTES.metadata:
        this.#fields.metadata();
        break;
      default:
        this.#reader.skip();
        break;
    }
  }

  #request(): void {
    const reader = this.#reader;
    const end = reader.enter();
    while (reader.next()) {
      if (reader.tag !== REQUEST.http) {
        reader.skip();
        continue;
      }
      const httpEnd = reader.enter();
      while (reader.next()) this.#http();
      reader.leave(httpEnd);
    }
    reader.leave(end);
  }

  #http(): void {
    const reader = this.#reader;
    switch (reader.tag) {
      case HTTP.method:
        reader.spanBytes();
        this.#found.method = reader.latin1(reader.from, reader.to);
        return;
      case HTTP.path:
        reader.spanBytes();
        this.#found.path = reader.latin1(reader.from, reader.to);
        return;
      case HTTP.headers:
        reader.spanEntry();
        this.#header();
        break;
      case HTTP.headerMap:
        this.#headerMap();
        break;
      default:
        reader.skip();
        break;
    }
  }

  /** `header_map`: what Envoy fills with `encode_raw_headers`. A header sent twice is two entries here. */
  #headerMap(): void {
    const reader = this.#reader;
    const end = reader.enter();
    while (reader.next()) {
      if (reader.tag === HEADER_MAP.headers) this.#headerValue();
      else reader.skip();
    }
    reader.leave(end);
  }

  #headerValue(): void {
    const reader = this.#reader;
    const end = reader.enter();
    let [keyFrom, keyTo, from, to, rawFrom, rawTo] = [0, 0, 0, 0, 0, 0];
    while (reader.next()) {
      if (reader.tag === HEADER_VALUE.key) {
        reader.spanBytes();
        keyFrom = reader.from;
        keyTo = reader.to;
      } else if (reader.tag === HEADER_VALUE.value) {
        reader.spanBytes();
        from = reader.from;
        to = reader.to;
      } else if (reader.tag === HEADER_VALUE.rawValue) {
        reader.spanBytes();
        rawFrom = reader.from;
        rawTo = reader.to;
      } else reader.skip();
    }
    reader.leave(end);
    const isRaw = rawTo > rawFrom;
    if (isRaw && to > from) throw MALFORMED;
    reader.keyFrom = keyFrom;
    reader.keyTo = keyTo;
    reader.from = isRaw ? rawFrom : from;
    reader.to = isRaw ? rawTo : to;
    this.#header();
  }

  /** Takes the header whose name and value are spanned. Told apart by length first: most headers cost one comparison. */
  #header(): void {
    const reader = this.#reader;
    const found = this.#found;
    switch (reader.keyTo - reader.keyFrom) {
      case NAMES.authorization.length:
        if (!this.#keyIs(NAMES.authorization)) return;
        found.authorizationCount += 1;
        found.authorization = this.#value();
        return;
      case NAMES.tenantId.length:
        if (this.#keyIs(NAMES.tenantId)) found.tenantHeaders.push(this.#value());
        else if (this.#keyIs(NAMES.traceparent)) found.traceparent.take();
        return;
      case NAMES.requestId.length:
        if (this.#keyIs(NAMES.requestId)) found.requestId.take();
        else if (this.#keyIs(NAMES.contentType)) found.contentType.take();
        else if (this.#keyIs(NAMES.commandId)) found.commandId.take();
        return;
      case NAMES.correlationId.length:
        if (this.#keyIs(NAMES.correlationId)) found.correlationId.take();
        return;
      case NAMES.runnerShard.length:
        if (this.#keyIs(NAMES.runnerShard)) found.runnerShard.take();
        return;
      case NAMES.idempotencyKey.length:
        if (this.#keyIs(NAMES.idempotencyKey)) found.idempotencyKey.take();
        return;
      case NAMES.originalMethod.length:
        if (this.#keyIs(NAMES.originalMethod)) found.transcoded = true;
        return;
      case NAMES.originalPath.length:
        if (this.#keyIs(NAMES.originalPath)) found.originalPath.take();
        return;
    }
  }

  #contextExtension(): void {
    this.#reader.spanEntry();
    const found = this.#found;
    if (this.#keyIs(NAMES.stamp)) {
      if (found.stamp !== '') throw MALFORMED;
      found.stamp = this.#value();
    } else if (this.#keyIs(NAMES.target)) {
      if (found.target !== '') throw MALFORMED;
      found.target = this.#value();
    }
  }

  #keyIs(name: Uint8Array): boolean {
    return this.#reader.equals(this.#reader.keyFrom, this.#reader.keyTo, name);
  }

  #value(): string {
    return this.#reader.latin1(this.#reader.from, this.#reader.to);
  }
}
