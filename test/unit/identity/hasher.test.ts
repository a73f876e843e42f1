import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CURRENT, formatPhc, isOutdated, parsePhc } from '../../../src/hasher/phc.ts';
import { QueueFullError, WorkQueue } from '../../../src/hasher/work-queue.ts';

describe('PHC strings', () => {
  const bytes = (count: number) => new Uint8Array(count).fill(3);
  const current = formatPhc({ ...CURRENT, salt: bytes(16), tag: bytes(32) });

  it('are read back, in whatever order their settings come', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 64, max: 65_536 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.uint8Array({ minLength: 9, maxLength: 64 }),
        fc.uint8Array({ minLength: 17, maxLength: 64 }),
        (memoryKiB, passes, lanes, salt, tag) => {
          const text = formatPhc({ memoryKiB, passes, lanes, salt, tag });
          const parsed = parsePhc(text);
          expect(parsed).toEqual({ memoryKiB, passes, lanes, salt: Buffer.from(salt), tag: Buffer.from(tag) });
          const turned = text.replace(/m=(\d+),t=(\d+),p=(\d+)/, 'm=$1,p=$3,t=$2');
          expect(parsePhc(turned)).toEqual(parsed);
        },
      ),
    );
  });

  it.each([
    '',
    'x',
    current.replace('argon2id', 'argon2i'),
    current.replace('v=19', 'v=16'),
    current.replace('m=19456', 'm=4294967296'),
    current.replace('m=19456', 'm=65537'),
    current.replace('t=2', 't=5'),
    current.replace('t=2', 't=0'),
    current.replace('p=1', 'p=5'),
    current.replace('p=1', 'm=1'),
    current.replace('p=1', 'x=1'),
    `${current}$more`,
    current.slice(0, -30),
  ])('refuse %j', (text) => {
    expect(parsePhc(text)).toBeUndefined();
  });

  it('are outdated when any parameter is not the current one', () => {
    const outdated = (text: string) => {
      const parsed = parsePhc(text);
      if (parsed === undefined) throw new Error(text);
      return isOutdated(parsed);
    };
    expect(outdated(current)).toBe(false);
    for (const other of ['m=19455', 'm=65536']) expect(outdated(current.replace('m=19456', other))).toBe(true);
    expect(outdated(current.replace('t=2', 't=1'))).toBe(true);
    expect(outdated(current.replace('p=1', 'p=2'))).toBe(true);
    expect(outdated(formatPhc({ ...CURRENT, salt: bytes(12), tag: bytes(32) }))).toBe(true);
  });
});

describe('WorkQueue', () => {
  /** Jobs that end when they are told to. */
  const jobs = () => {
    const release: (() => void)[] = [];
    const started: number[] = [];
    const job = (index: number) => () => {
      started.push(index);
      return new Promise<number>((resolve) => release.push(() => resolve(index)));
    };
    return { release, started, job };
  };

  it('runs no more than it may, in order, and refuses what does not fit', async () => {
    const queue = new WorkQueue({ inFlightMax: 2, waitingMax: 3 });
    const { release, started, job } = jobs();
    const running = [0, 1, 2, 3, 4].map((index) => queue.run(job(index)));
    await expect(queue.run(job(5))).rejects.toBeInstanceOf(QueueFullError);
    expect([started, queue.inFlight, queue.waiting]).toEqual([[0, 1], 2, 3]);
    for (let index = 0; index < 5; index += 1) {
      release[index]?.();
      expect(await running[index]).toBe(index);
    }
    expect([started, queue.inFlight, queue.waiting]).toEqual([[0, 1, 2, 3, 4], 0, 0]);
  });

  it('drops a waiting job whose caller went away, and gives its place to the next', async () => {
    const queue = new WorkQueue({ inFlightMax: 1, waitingMax: 2 });
    const { release, started, job } = jobs();
    const gone = new AbortController();
    const first = queue.run(job(0));
    const dropped = queue.run(job(1), gone.signal);
    const last = queue.run(job(2));
    gone.abort(new Error('gone'));
    await expect(dropped).rejects.toThrow('gone');
    await expect(queue.run(job(3), AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    release[0]?.();
    await first;
    release[1]?.();
    await last;
    expect([started, queue.inFlight, queue.waiting]).toEqual([[0, 2], 0, 0]);
  });

  it('goes on after a job that failed', async () => {
    const queue = new WorkQueue({ inFlightMax: 1, waitingMax: 1 });
    const fails = queue.run(async () => {
      throw new Error('broken');
    });
    const next = queue.run(async () => 'fine');
    await expect(fails).rejects.toThrow('broken');
    expect(await next).toBe('fine');
    expect(queue.inFlight).toBe(0);
  });
});
