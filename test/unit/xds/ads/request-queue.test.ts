import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { RequestQueue } from '../../../../xds/ads/request-queue.ts';

const large = (text: string) => Buffer.from(text.padEnd(20_000));
const small = (text: string) => Buffer.from(text);

function setUp() {
  const queue = new RequestQueue();
  const handled: string[] = [];
  const push = (stream: object, bytes: Buffer) =>
    queue.push(stream, bytes, (request) => handled.push(request.toString().trim()));
  return { queue, handled, push };
}

describe('requests', () => {
  it('are handled at once when they are small', () => {
    const { handled, push } = setUp();
    push({}, small('a'));
    expect(handled).toEqual(['a']);
  });

  it('of one stream stay in order behind its large one', async () => {
    const { handled, push } = setUp();
    const stream = {};
    push(stream, large('1'));
    push(stream, small('2'));
    push(stream, small('3'));
    expect(handled).toEqual([]);
    for (let turns = 0; turns < 5; turns += 1) await turn();
    expect(handled).toEqual(['1', '2', '3']);
    push(stream, small('4'));
    expect(handled).toEqual(['1', '2', '3', '4']);
  });

  it('of other streams do not wait for a large one', async () => {
    const { handled, push } = setUp();
    const streams = Array.from({ length: 5 }, () => ({}));
    for (const [index, stream] of streams.entries()) push(stream, large(`large ${index}`));
    push({}, small('move'));
    expect(handled).toEqual(['move']);
    await turn();
    expect(handled.length).toBeLessThan(5);
    for (let turns = 0; turns < 10; turns += 1) await turn();
    expect(handled).toEqual(['move', ...streams.map((_, index) => `large ${index}`)]);
  });

  it('of a stream that ended are forgotten', async () => {
    const { queue, handled, push } = setUp();
    const stream = {};
    push(stream, large('1'));
    queue.drop(stream);
    for (let turns = 0; turns < 3; turns += 1) await turn();
    expect(handled).toEqual([]);
  });
});
