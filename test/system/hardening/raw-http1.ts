import { connect } from 'node:net';

/** What came back over one connection of its own until it ended. */
export interface RawAnswer {
  readonly text: string;
  /** Status codes of the responses in it, in order. */
  readonly statuses: readonly number[];
  /** The responses one by one: head and body of each. */
  readonly responses: readonly { readonly head: string; readonly body: string }[];
  /** True: the gateway ended the connection. False: it kept it open, and the deadline ended it here. */
  readonly isClosed: boolean;
}

/** Much more than Envoy keeps a connection after an error (`delayed_close_timeout`, 1 s). */
const DEADLINE_MS = 5_000;

/**
 * Sends bytes as they are over a connection of its own and waits until the gateway ends it. An honest last request says
 * `connection: close`, so that this is at once.
 * @param options.deadlineMs after which the connection is given up
 */
export function sendRaw(http: string, bytes: string, options: { readonly deadlineMs?: number } = {}) {
  const { hostname, port } = new URL(http);
  const { promise, resolve } = Promise.withResolvers<RawAnswer>();
  const chunks: Buffer[] = [];
  const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
  let isLate = false;
  const late = setTimeout(() => {
    isLate = true;
    socket.destroy();
  }, options.deadlineMs ?? DEADLINE_MS);
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  // A reset is an end as well; what came before it counts.
  socket.on('error', () => undefined);
  socket.on('close', () => {
    clearTimeout(late);
    const text = Buffer.concat(chunks).toString('latin1');
    const responses = parted(text);
    resolve({ text, responses, statuses: responses.map(({ head }) => Number(head.slice(9, 12))), isClosed: !isLate });
  });
  return promise;
}

/** Responses by where each begins: a body in these tests is one JSON document without a line end. */
function parted(text: string): RawAnswer['responses'] {
  return text
    .split(/(?=HTTP\/1\.[01] \d{3} )/)
    .filter((each) => each !== '')
    .map((each) => {
      const end = each.indexOf('\r\n\r\n');
      return end === -1 ? { head: each, body: '' } : { head: each.slice(0, end), body: each.slice(end + 4) };
    });
}
