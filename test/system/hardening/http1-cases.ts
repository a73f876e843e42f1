/** Who sends the cases below. */
export interface Sender {
  /** Of the gateway, with its port. */
  readonly authority: string;
  /** Header lines with which a query is served. */
  readonly credentials: string;
}

/** A request that breaks the rules, and what it is answered. */
export interface Refused {
  readonly name: string;
  readonly status: 400 | 426 | 501;
  readonly bytes: (sender: Sender) => string;
}

/** A request that only looks odd, and how the node must see it. */
export interface Accepted {
  readonly name: string;
  readonly bytes: (sender: Sender) => string;
  /** Headers of it at the node; undefined: not there. */
  readonly seen: Readonly<Record<string, string | undefined>>;
  /** How many requests these bytes are, the last of which is that of `hidden`. */
  readonly count?: 2;
}

const LINE = 'POST /v1/query/orders HTTP/1.1';
const lines = (all: readonly string[]): string => all.map((line) => `${line}\r\n`).join('');

/** A request's head with credentials and the header lines given. */
export const head = ({ authority, credentials }: Sender, headers: readonly string[], line = LINE): string =>
  `${line}\r\nhost: ${authority}\r\n${credentials}${lines(headers)}\r\n`;

/** A request that would be served if it were ever taken for one; its answer says `/v1/query/hidden`. */
const hidden = (sender: Sender): string =>
  `${head(sender, ['connection: close', 'content-length: 2'], 'POST /v1/query/hidden HTTP/1.1')}{}`;
const chunkedHidden = (sender: Sender): string => `0\r\n\r\n${hidden(sender)}`;

const LENGTH = 'content-length: 2';
const CHUNKED = 'transfer-encoding: chunked';
const LAST = 'connection: close';

/** Two ways to say where the body ends: whoever takes the other one sees another request (RFC 9112, 6.3). */
const framing = (name: string, headers: readonly string[], status: 400 | 501 = 400): Refused => ({
  name,
  status,
  bytes: (sender) => head(sender, headers) + chunkedHidden(sender),
});

/** A body `{}` by its length, and a request behind it. */
const length = (name: string, value: (sender: Sender) => string): Refused => ({
  name,
  status: 400,
  bytes: (sender) => `${head(sender, [`content-length:${value(sender)}`])}{}${hidden(sender)}`,
});

/** Chunks, and a request behind them. */
const chunks = (name: string, body: string): Refused => ({
  name,
  status: 400,
  bytes: (sender) => `${head(sender, [CHUNKED])}${body}${hidden(sender)}`,
});

/** The request line and all headers as given, a body `{}`, and a request behind it. */
const whole = (name: string, text: (sender: Sender) => string): Refused => ({
  name,
  status: 400,
  bytes: (sender) => `${text(sender)}{}${hidden(sender)}`,
});

/** Another request line. */
const first = (
  name: string,
  status: Refused['status'],
  text: string,
  headers: readonly string[] = [LENGTH],
): Refused => ({
  name,
  status,
  bytes: (sender) => `${head(sender, headers, text)}{}${hidden(sender)}`,
});

export const REFUSED: readonly Refused[] = [
  // CL.TE, TE.CL, TE.TE and their disguises
  {
    name: 'a length and then chunks',
    status: 400,
    bytes: (sender) =>
      head(sender, [`content-length: ${chunkedHidden(sender).length}`, CHUNKED]) + chunkedHidden(sender),
  },
  framing('chunks and then a short length', [CHUNKED, 'content-length: 4']),
  framing('no length and chunks', ['content-length: 0', CHUNKED]),
  framing('two encodings', [CHUNKED, 'transfer-encoding: identity'], 501),
  framing('chunks twice', [CHUNKED, CHUNKED], 501),
  framing('chunks twice in one', ['transfer-encoding: chunked, chunked'], 501),
  framing('an encoding behind chunks', ['transfer-encoding: chunked, identity'], 501),
  framing('an encoding before chunks', ['transfer-encoding: gzip, chunked'], 501),
  framing('an encoding in disguise', ['transfer-encoding: xchunked', LENGTH]),
  framing('an encoding in quotes', ['transfer-encoding: "chunked"', LENGTH]),
  framing('a vertical tab before the encoding', ['transfer-encoding: \x0bchunked', LENGTH]),
  framing('an empty encoding', ['transfer-encoding:', LENGTH]),
  framing('an encoding that is none', ['transfer-encoding: identity', LENGTH]),
  framing('a space before the colon', ['transfer-encoding : chunked', LENGTH]),
  framing('a CR in the encoding', ['transfer-encoding: chun\rked', LENGTH]),
  framing('an encoding on a folded line', ['transfer-encoding:', ' chunked', LENGTH]),
  framing('an encoding behind a bare LF', ['x-a: b\ntransfer-encoding: chunked', LENGTH]),
  // Content-Length
  {
    name: 'two lengths',
    status: 400,
    bytes: (sender) => `${head(sender, [LENGTH, `content-length: ${2 + hidden(sender).length}`])}{}${hidden(sender)}`,
  },
  {
    name: 'the same length twice',
    status: 400,
    bytes: (sender) => `${head(sender, [LENGTH, LENGTH])}{}${hidden(sender)}`,
  },
  length('two lengths in one', (sender) => ` 2, ${2 + hidden(sender).length}`),
  length('the same length twice in one', () => ' 2, 2'),
  length('a length with a plus', () => ' +2'),
  length('a length below nothing', () => ' -2'),
  length('a length in hexadecimal', () => ' 0x2'),
  length('a length with a fraction', () => ' 2.0'),
  length('a length with an exponent', () => ' 2e0'),
  length('a length with a gap', () => ' 2 0'),
  length('a length with a CR', () => ' 2\r0'),
  length('a length on two lines', () => ' 2\r\n 0'),
  length('a length that is empty', () => ''),
  length('a length beyond 64 bits', () => ' 18446744073709551618'),
  // Chunks
  chunks('a chunk size that is none', '2z\r\n{}\r\n0\r\n\r\n'),
  chunks('a chunk size below nothing', '-2\r\n{}\r\n0\r\n\r\n'),
  chunks('a chunk size with a plus', '+2\r\n{}\r\n0\r\n\r\n'),
  chunks('a chunk size with a prefix', '0x2\r\n{}\r\n0\r\n\r\n'),
  chunks('a chunk size behind a space', ' 2\r\n{}\r\n0\r\n\r\n'),
  chunks('a chunk size beyond 64 bits', '10000000000000002\r\n{}\r\n0\r\n\r\n'),
  chunks('a chunk without a size', '\r\n{}\r\n0\r\n\r\n'),
  chunks('a bare LF behind a chunk size', '2\n{}\r\n0\r\n\r\n'),
  chunks('a bare LF in a chunk extension', '2;a=b\n{}\r\n0\r\n\r\n'),
  chunks('a bare LF in a chunk extension that hides the next size', '2;\nxx\r\n40\r\n0\r\n\r\n'),
  chunks('a bare CR in a chunk extension', '2;a\rb\r\n{}\r\n0\r\n\r\n'),
  chunks('a bare LF behind a chunk', '2\r\n{}\n0\r\n\r\n'),
  chunks('a chunk longer than its size', '2\r\n{}xx0\r\n\r\n'),
  chunks('a bare LF at the end of the chunks', '2\r\n{}\r\n0\n\n'),
  // Lines
  whole('a bare CR as the end of the head', (sender) => `${head(sender, [LENGTH]).slice(0, -4)}\r\r`),
  whole('a bare CR in a name', (sender) => head(sender, ['x-a\rx-b: c', LENGTH])),
  whole('a NUL in a value', (sender) => head(sender, ['x-zero: a\0b', LENGTH])),
  whole('a DEL in a value', (sender) => head(sender, ['x-del: a\x7fb', LENGTH])),
  whole('a line without a colon', (sender) => head(sender, ['nothing', LENGTH])),
  whole('a line without a name', (sender) => head(sender, [': nothing', LENGTH])),
  whole('a fold before the first header', (sender) => head(sender, [LENGTH], `${LINE}\r\n x-a: b`)),
  first('a bare CR in the path', 400, 'POST /v1/query/orders\rx HTTP/1.1'),
  // Versions
  first('HTTP/1.0 with a length', 426, 'POST /v1/query/orders HTTP/1.0'),
  first('HTTP/1.0 with chunks', 426, 'POST /v1/query/orders HTTP/1.0', [CHUNKED]),
  first('HTTP/1.0 with chunks and a length', 400, 'POST /v1/query/orders HTTP/1.0', [CHUNKED, LENGTH]),
  first('HTTP/1.2', 426, 'POST /v1/query/orders HTTP/1.2'),
  first('HTTP/2.0 as text', 426, 'POST /v1/query/orders HTTP/2.0'),
  first('a version in lower case', 400, 'POST /v1/query/orders http/1.1'),
  { name: 'HTTP/0.9', status: 426, bytes: () => 'GET /v1/query/orders\r\n' },
  // Host (RFC 9112, 3.2)
  whole('two hosts', (sender) => head(sender, ['host: evil.example', LENGTH])),
  whole('the same host twice', (sender) => head(sender, [`host: ${sender.authority}`, LENGTH])),
  whole('no host', ({ credentials }) => `${LINE}\r\n${credentials}${LENGTH}\r\n\r\n`),
  whole('a host with a space', ({ credentials }) => `${LINE}\r\nhost: a b\r\n${credentials}${LENGTH}\r\n\r\n`),
  whole('a host with a path', ({ credentials }) => `${LINE}\r\nhost: a/b?c\r\n${credentials}${LENGTH}\r\n\r\n`),
];

const accepted = (name: string, headers: readonly string[], seen: Accepted['seen'], body = '{}'): Accepted => ({
  name,
  seen,
  bytes: (sender) => head(sender, [...headers, LAST]) + body,
});

/** With a request behind it, whose beginning shows where the first one ended. */
const followed = (name: string, headers: readonly string[], seen: Accepted['seen'], body = '{}'): Accepted => ({
  name,
  seen,
  count: 2,
  bytes: (sender) => head(sender, headers) + body + hidden(sender),
});

const AS_CHUNKS = { 'transfer-encoding': 'chunked', 'content-length': undefined };

export const ACCEPTED: readonly Accepted[] = [
  followed('honest lengths', [LENGTH], { 'content-length': '2' }),
  followed('honest chunks', [CHUNKED], AS_CHUNKS, '2\r\n{}\r\n0\r\n\r\n'),
  // Decimal for everybody (RFC 9110, 8.6), however many zeros.
  followed('a length with zeros before it', ['content-length: 0000002'], { 'content-length': '0000002' }),
  accepted('spaces around a length', ['content-length: \t2 \t'], { 'content-length': '2' }),
  followed('chunks in capitals', ['transfer-encoding: CHUNKED'], AS_CHUNKS, '2\r\n{}\r\n0\r\n\r\n'),
  followed('spaces around the encoding', ['transfer-encoding:\tchunked \t'], AS_CHUNKS, '2\r\n{}\r\n0\r\n\r\n'),
  followed(
    'an encoding on a folded line, alone',
    ['transfer-encoding:', ' chunked'],
    AS_CHUNKS,
    '2\r\n{}\r\n0\r\n\r\n',
  ),
  followed('a chunk extension', [CHUNKED], AS_CHUNKS, '2;a="\r\n{}\r\n0\r\n\r\n'),
  followed('zeros before a chunk size, a space behind it', [CHUNKED], AS_CHUNKS, '0002 \r\n{}\r\n0\r\n\r\n'),
  // Trailers of requests are for nobody here.
  followed(
    'trailers',
    [CHUNKED],
    { ...AS_CHUNKS, 'x-a': undefined },
    '2\r\n{}\r\n0\r\nx-a: b\r\nx-principal-id: usr_forged\r\ncontent-length: 9\r\n\r\n',
  ),
  // A bare LF ends a line, as RFC 9112, 2.2, allows: behind it begins another header, which is stripped like any other.
  followed('a bare LF in a value', ['x-a: b\nx-principal-id: usr_forged\nx-c: d', LENGTH], { 'x-a': 'b', 'x-c': 'd' }),
  {
    name: 'bare LFs as all line ends',
    count: 2,
    seen: { 'content-length': '2' },
    bytes: (sender) => `${head(sender, [LENGTH]).replaceAll('\r\n', '\n')}{}${hidden(sender)}`,
  },
  {
    name: 'bare LFs at the end of the head',
    count: 2,
    seen: { 'content-length': '2' },
    bytes: (sender) => `${head(sender, [LENGTH]).slice(0, -4)}\n\n{}${hidden(sender)}`,
  },
  // A bare CR is left out.
  accepted('a bare CR in a value', ['x-a: b\rtransfer-encoding: chunked', LENGTH], {
    'x-a': 'btransfer-encoding: chunked',
    'transfer-encoding': undefined,
  }),
  // A folded line is one value (RFC 9112, 5.2).
  followed('a header on a folded line', ['x-a: b', ' transfer-encoding: chunked', LENGTH], {
    'x-a': 'b transfer-encoding: chunked',
    'transfer-encoding': undefined,
  }),
  followed('a header of ours on a folded line', ['x-a: b', '\tx-principal-id: usr_forged', LENGTH], {
    'x-a': 'b\tx-principal-id: usr_forged',
  }),
  // What belongs to one connection does not cross the gateway, and nobody takes away what the gateway sets (RFC 9110, 7.6.1).
  {
    name: 'our headers called those of the connection',
    seen: { connection: undefined, 'x-tenant-id': 'acme' },
    bytes: (sender) => `${head(sender, ['connection: close, x-principal-id, x-decision-id', LENGTH])}{}`,
  },
  followed(
    'an upgrade to HTTP/2',
    ['connection: upgrade, http2-settings', 'upgrade: h2c', 'http2-settings: AAMAAABk', LENGTH],
    {
      ...{ upgrade: undefined, connection: undefined, 'http2-settings': undefined },
    },
  ),
  // The host of an absolute address is the one that counts (RFC 9112, 3.2.2).
  {
    name: 'an absolute address with another host',
    seen: { host: 'other.example' },
    bytes: (sender) => `${head(sender, [LENGTH, LAST], 'POST http://other.example/v1/query/orders HTTP/1.1')}{}`,
  },
];
