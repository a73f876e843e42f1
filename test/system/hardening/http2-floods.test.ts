import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GatewayWithMember, startGatewayWithMember } from '../../support/fixtures/gateway-with-member.ts';
import { until } from '../../support/wait.ts';
import { bystander } from './bystander.ts';
import { FLAG, FRAME, frame, headerBlock, RawHttp2, setting, uint32 } from './raw-http2.ts';

/**
 * Floods of HTTP/2: each ends the connection it comes over or is held to a bound, while somebody else is served as ever
 * and Envoy holds little more than before.
 */
const DEADLINE_MS = 20_000;
const GROWTH_MAX_BYTES = 100 * 1_048_576;
/** Much more than any bound. */
const FLOOD_FRAMES = 20_000;
const FRAMES_PER_WRITE = 200;
const STREAMS_MAX = 100;
const REFUSED_STREAM = 7;
/** `http.max_requests_per_io_cycle` */
const REQUESTS_PER_CYCLE = 10;

let edge: GatewayWithMember;

beforeAll(async () => {
  edge = await startGatewayWithMember();
});
afterAll(() => edge?.[Symbol.asyncDispose]());

const fields = (): readonly (readonly [string, string])[] =>
  Object.entries({
    ...{ ':method': 'POST', ':scheme': 'http', ':path': '/v1/query/orders', ':authority': new URL(edge.http).host },
    ...{ authorization: `Bearer ${edge.member.token}`, 'x-tenant-id': 'acme', 'content-type': 'application/json' },
  });
const head = () => headerBlock(fields());
const headers = (stream: number, flags: number = FLAG.endHeaders) => frame(FRAME.headers, flags, stream, head());

/** Sends parts of a flood until the connection ends or the flood is over, and asks for something else meanwhile. */
async function flood(client: RawHttp2, part: (round: number) => Buffer): Promise<void> {
  const rounds = FLOOD_FRAMES / FRAMES_PER_WRITE;
  for (let round = 0; round < rounds && !client.isEnded; round += 1) {
    if (!client.send(part(round))) return;
    if (round % 20 === 0) await bystander(edge);
    // Whoever does not let the other side's answers in never learns that it is over.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await bystander(edge);
}

const untilEnded = (client: RawHttp2) =>
  until(() => client.isEnded, { deadlineMs: DEADLINE_MS, what: 'the connection to be ended' });

async function residentBytes(): Promise<number> {
  const pid = (await edge.gateway.run()).pids['envoy'];
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1_024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
}

const times = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));

interface Flood {
  /** By which Envoy says that it has seen through it. */
  readonly counter: string;
  readonly before?: () => Buffer;
  readonly reads?: boolean;
  /** What is written at once; `round` counts the writes. */
  readonly part: (round: number) => Buffer;
}
const FLOODS: Readonly<Record<string, Flood>> = {
  'requests that are taken back at once (CVE-2023-44487)': {
    counter: 'http.edge.downstream_rq_too_many_premature_resets',
    part: (round) =>
      times(FRAMES_PER_WRITE, (index) => {
        const stream = 2 * (round * FRAMES_PER_WRITE + index) + 1;
        const end = FLAG.endHeaders | FLAG.endStream;
        return Buffer.concat([headers(stream, end), frame(FRAME.reset, 0, stream, uint32(8))]);
      }),
  },
  // The gateway resets each of them itself, for its name; they count as those that the client takes back.
  'requests that the gateway takes back': {
    counter: 'http.edge.downstream_rq_too_many_premature_resets',
    part: (round) =>
      times(FRAMES_PER_WRITE, (index) => {
        const block = Buffer.concat([head(), headerBlock([['x_tenant_id', 'globex']])]);
        return frame(FRAME.headers, FLAG.endHeaders, 2 * (round * FRAMES_PER_WRITE + index) + 1, block);
      }),
  },
  // Here the first one is enough.
  'requests whose windows overflow, to be reset (CVE-2025-8671)': {
    counter: 'http.edge.downstream_cx_protocol_error',
    part: (round) =>
      times(FRAMES_PER_WRITE, (index) => {
        const stream = 2 * (round * FRAMES_PER_WRITE + index) + 1;
        return Buffer.concat([headers(stream), frame(FRAME.windowUpdate, 0, stream, uint32(0x7fffffff))]);
      }),
  },
  'headers without an end (CONTINUATION)': {
    counter: 'http2.header_list_size_too_large',
    before: () => headers(1, 0),
    part: () =>
      times(FRAMES_PER_WRITE, () => frame(FRAME.continuation, 0, 1, headerBlock([['x-more', 'x'.repeat(500)]]))),
  },
  'empty CONTINUATION frames': {
    counter: 'http2.inbound_empty_frames_flood',
    before: () => headers(1, 0),
    part: () => times(FRAMES_PER_WRITE, () => frame(FRAME.continuation, 0, 1)),
  },
  'SETTINGS, whose acknowledgements nobody reads': {
    counter: 'http2.outbound_control_flood',
    reads: false,
    part: () => times(40 * FRAMES_PER_WRITE, () => frame(FRAME.settings, 0, 0, setting(4, 65_535))),
  },
  'PING, whose answers nobody reads': {
    counter: 'http2.outbound_control_flood',
    reads: false,
    part: () => times(40 * FRAMES_PER_WRITE, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
  },
  'frames with nothing in them': {
    counter: 'http2.inbound_empty_frames_flood',
    before: () => headers(1),
    part: () => times(FRAMES_PER_WRITE, () => frame(FRAME.data, 0, 1)),
  },
  priorities: {
    counter: 'http2.inbound_priority_frames_flood',
    before: () => headers(1),
    part: () => times(FRAMES_PER_WRITE, () => frame(FRAME.priority, 0, 1, Buffer.from([0, 0, 0, 3, 1]))),
  },
  'window updates that nothing was sent for': {
    counter: 'http2.inbound_window_update_frames_flood',
    before: () => headers(1),
    part: () => times(FRAMES_PER_WRITE, () => frame(FRAME.windowUpdate, 0, 1, uint32(1))),
  },
  // 3.9 kB put into the table once, then named by one byte each: 8 MB of headers in 2 kB.
  'headers that grow when they are unpacked': {
    counter: 'http2.header_list_size_too_large',
    before: () =>
      frame(
        FRAME.headers,
        FLAG.endHeaders | FLAG.endStream,
        1,
        Buffer.concat([head(), headerBlock([['x-bomb', 'x'.repeat(3_900)]], true)]),
      ),
    part: (round) =>
      times(20, (index) =>
        frame(
          FRAME.headers,
          FLAG.endHeaders | FLAG.endStream,
          2 * (20 * round + index) + 3,
          Buffer.concat([head(), Buffer.alloc(2_000, 0x80 | 62)]),
        ),
      ),
  },
};

describe('a flood of', () => {
  it.each(Object.entries(FLOODS))('%s ends its connection, and nobody else notices', async (name, each) => {
    const [before, seen] = [await residentBytes(), await edge.stat(each.counter)];
    using client = new RawHttp2(edge.http, { reads: each.reads ?? true });
    if (each.before !== undefined) client.send(each.before());
    await flood(client, each.part);
    await untilEnded(client).catch((error: unknown) => {
      throw new Error(`${name}: ${client.waitingBytes} bytes wait`, { cause: error });
    });
    expect((await residentBytes()) - before).toBeLessThan(GROWTH_MAX_BYTES);
    expect(await edge.stat(each.counter)).toBeGreaterThan(seen);
  });
});

/** Asks on a stream of the connection, and waits for the whole answer. */
async function isServed(client: RawHttp2, stream: number): Promise<void> {
  client.send(Buffer.concat([headers(stream), frame(FRAME.data, FLAG.endStream, stream, Buffer.from('{}'))]));
  const options = { deadlineMs: DEADLINE_MS, what: 'an answer' };
  const answer = await until(() => client.stream(stream)?.isEnded === true && client.stream(stream), options);
  expect(answer.data).toContain('"path":"/v1/query/orders"');
}

/** Requests that are taken back in the same breath, on streams from `stream` on. */
const takenBack = (count: number, stream: number, block = head()): Buffer => {
  const ids = Array.from({ length: count }, (_, index) => stream + 2 * index);
  const begun = ids.map((id) => frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, id, block));
  return Buffer.concat([...begun, ...ids.map((id) => frame(FRAME.reset, 0, id, uint32(8)))]);
};

/** What envoy/bootstrap.yaml sets, of which Envoy's own values are 500 and no limit. */
describe('the runtime of the bootstrap', () => {
  it('lets a client give up all of its streams once, and not go on so', async () => {
    const counter = 'http.edge.downstream_rq_too_many_premature_resets';
    const seen = await edge.stat(counter);
    using client = new RawHttp2(edge.http);
    client.send(takenBack(STREAMS_MAX, 1));
    await isServed(client, 1_001);
    expect([client.isEnded, await edge.stat(counter)]).toEqual([false, seen]);
    // More than half of 300, and not yet half of 500.
    client.send(takenBack(70, 2_001));
    await untilEnded(client);
    expect(await edge.stat(counter)).toBe(seen + 1);
  });

  it('begins few of the requests that come in one go: of those taken back at once most are never decided about', async () => {
    using client = new RawHttp2(edge.http);
    // The fields once, into the table of the other side: from now on a byte each, so that all comes in one read.
    client.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, headerBlock(fields(), true)));
    await until(() => client.stream(1)?.isEnded, { deadlineMs: DEADLINE_MS, what: 'an answer' });
    const names = fields().map((_, index) => 0x80 | (61 + fields().length - index));
    const before = await edge.stat('cluster.authz.upstream_rq_total');
    client.send(takenBack(STREAMS_MAX, 3, Buffer.from(names)));
    await isServed(client, 1_001);
    const decided = (await edge.stat('cluster.authz.upstream_rq_total')) - before;
    expect(decided).toBeGreaterThan(1);
    expect(decided).toBeLessThanOrEqual(2 * REQUESTS_PER_CYCLE + 1);
  });
});

describe('one connection', () => {
  it('that does a little of all that is served', async () => {
    using client = new RawHttp2(edge.http);
    client.send(
      Buffer.concat([
        ...[frame(FRAME.settings, 0, 0, setting(4, 65_535)), frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
        ...[headers(1), frame(FRAME.priority, 0, 1, Buffer.from([0, 0, 0, 3, 1]))],
        ...[frame(FRAME.windowUpdate, 0, 1, uint32(1)), frame(FRAME.data, FLAG.endStream, 1, Buffer.from('{}'))],
        ...[headers(3), frame(FRAME.reset, 0, 3, uint32(8))],
      ]),
    );
    const options = { deadlineMs: DEADLINE_MS, what: 'an answer' };
    expect((await until(() => client.stream(1)?.isEnded === true && client.stream(1), options)).data).toContain('"s1"');
    expect(client.isEnded).toBe(false);
  });

  it('has so many streams under way, and is refused more', async () => {
    using client = new RawHttp2(edge.http);
    client.send(times(3 * STREAMS_MAX, (index) => headers(2 * index + 1)));
    await until(
      () => client.isEnded || client.streams.filter(({ reset }) => reset === REFUSED_STREAM).length >= STREAMS_MAX,
      { deadlineMs: DEADLINE_MS, what: 'streams to be refused' },
    );
    await bystander(edge);
  });

  it('that takes no answers keeps only what its windows allow', async () => {
    const before = await residentBytes();
    // Windows of nothing: every answer waits in Envoy.
    using client = new RawHttp2(edge.http, { settings: [setting(4, 0)] });
    const body = Buffer.from(JSON.stringify({ padding: 'x'.repeat(10_000) }));
    client.send(
      times(STREAMS_MAX, (index) => {
        const stream = 2 * index + 1;
        return Buffer.concat([headers(stream), frame(FRAME.data, FLAG.endStream, stream, body)]);
      }),
    );
    await until(() => client.streams.filter(({ headerFrames }) => headerFrames > 0).length === STREAMS_MAX, {
      deadlineMs: DEADLINE_MS,
      what: 'all answers to begin',
    });
    expect(client.streams.map(({ data }) => data).join('')).toBe('');
    await bystander(edge);
    expect((await residentBytes()) - before).toBeLessThan(GROWTH_MAX_BYTES);
  });
});
