import { expect, test } from 'vitest';
import {
  type Ending,
  type StartedProcess,
  Supervisor,
  type SupervisorEvent,
  type Timers,
} from '../../../src/launcher/supervise/supervisor.ts';

/** Time that passes when the test says so. */
class HandTimers implements Timers {
  #nowMs = 0;
  #sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
      this.#sleepers.push({ atMs: this.#nowMs + ms, wake: resolve });
    });
  }

  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    const due = this.#sleepers.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#sleepers = this.#sleepers.filter((sleeper) => !due.includes(sleeper));
    for (const { wake } of due) wake();
    await settle();
  }
}

/** Lets everything that waits for resolved promises go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

class FakeProcess implements StartedProcess {
  readonly pid: number;
  readonly signals: string[] = [];
  readonly #ended = Promise.withResolvers<Ending>();
  readonly #obeys: boolean;

  constructor(pid: number, obeys: boolean) {
    this.pid = pid;
    this.#obeys = obeys;
  }

  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.signals.push(signal);
    if (signal === 'SIGKILL' || this.#obeys) this.end({ signal });
  }

  end(ending: Ending): void {
    this.#ended.resolve(ending);
  }
}

function setUp(options: { readonly obeys?: boolean; readonly start?: () => Promise<StartedProcess> } = {}) {
  const timers = new HandTimers();
  const events: SupervisorEvent[] = [];
  const processes: FakeProcess[] = [];
  const start = async () => {
    const process = new FakeProcess(processes.length + 1, options.obeys ?? true);
    processes.push(process);
    return process;
  };
  const supervisor = new Supervisor({
    start: options.start ?? start,
    timers,
    onEvent: (event) => events.push(event),
    stopBoundMs: 5_000,
  });
  const last = (): FakeProcess => {
    const process = processes.at(-1);
    if (process === undefined) throw new Error('nothing was started');
    return process;
  };
  return { timers, events, processes, supervisor, last };
}

test('a child that dies is started again after the backoff', async () => {
  const { timers, events, processes, supervisor, last } = setUp();
  supervisor.start();
  await settle();
  expect(supervisor.pid).toBe(1);

  last().end({ signal: 'SIGKILL' });
  await settle();
  expect(supervisor.pid).toBeUndefined();
  await timers.pass(99);
  expect(processes).toHaveLength(1);
  await timers.pass(1);
  expect(supervisor.pid).toBe(2);
  expect(events).toEqual([
    { type: 'started', pid: 1, again: false },
    { type: 'ended', ending: { signal: 'SIGKILL' }, restartInMs: 100 },
    { type: 'started', pid: 2, again: true },
  ]);
  await supervisor.stop();
});

test('the backoff grows while it dies young and is small again after a long life', async () => {
  const { timers, events, supervisor, last } = setUp();
  const waits = () => events.flatMap((event) => (event.type === 'ended' ? [event.restartInMs] : []));
  supervisor.start();
  await settle();
  for (const wait of [100, 200]) {
    last().end({ code: 1 });
    await settle();
    await timers.pass(wait);
  }
  await timers.pass(10_000);
  last().end({ code: 1 });
  await settle();
  expect(waits()).toEqual([100, 200, 100]);
  await supervisor.stop();
});

test('one that cannot even be started is tried again too', async () => {
  let attempts = 0;
  const { timers, events, supervisor } = setUp({
    start: async () => {
      attempts += 1;
      throw new Error('spawn ENOENT');
    },
  });
  supervisor.start();
  await settle();
  await timers.pass(100);
  expect(attempts).toBe(2);
  expect(events[0]).toEqual({ type: 'ended', ending: { error: 'spawn ENOENT' }, restartInMs: 100 });
  await supervisor.stop();
});

test('stop ends it by SIGTERM and starts nothing any more', async () => {
  const { timers, processes, supervisor, last } = setUp();
  supervisor.start();
  await settle();
  await supervisor.stop();
  await timers.pass(60_000);
  expect(last().signals).toEqual(['SIGTERM']);
  expect(processes).toHaveLength(1);
  expect(supervisor.pid).toBeUndefined();
});

test('what does not end within the bound is killed', async () => {
  const { timers, events, supervisor, last } = setUp({ obeys: false });
  supervisor.start();
  await settle();
  const stopped = supervisor.stop();
  await timers.pass(4_999);
  expect(last().signals).toEqual(['SIGTERM']);
  await timers.pass(1);
  await stopped;
  expect(last().signals).toEqual(['SIGTERM', 'SIGKILL']);
  expect(events.at(-1)).toEqual({ type: 'killed', afterMs: 5_000 });
});

test('stop during the backoff ends the waiting', async () => {
  const { timers, processes, supervisor, last } = setUp();
  supervisor.start();
  await settle();
  last().end({ code: 1 });
  await settle();
  await supervisor.stop();
  await timers.pass(60_000);
  expect(processes).toHaveLength(1);
});

test('stop while it is being started ends what was started', async () => {
  const starting = Promise.withResolvers<StartedProcess>();
  const { events, supervisor } = setUp({ start: () => starting.promise });
  supervisor.start();
  const stopped = supervisor.stop();
  const process = new FakeProcess(7, true);
  starting.resolve(process);
  await stopped;
  expect(process.signals).toEqual(['SIGTERM']);
  expect(events).toEqual([]);
});
