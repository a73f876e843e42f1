import { LIMITS } from '#domain/limits.ts';

interface Waiting {
  readonly place: number;
  readonly go: () => void;
}

/** When work of this process began in the present turn of the event loop; undefined when none did yet. */
let beganMs: number | undefined;
let waiting: Waiting[] = [];
let places = 0;

/**
 * Runs a generator to its end, and lets the event loop turn whenever the steps done in the present turn have used
 * `sliceMaxMs`, so that other requests of this process wait about that long and one step; a step that is announced as
 * `long` begins a turn. The budget is of the process: works that run side by side share it, and go on in the order in
 * which they last did. What they read must be immutable, for anything may happen in between.
 */
export async function runInTurns<Value>(steps: Iterator<'long' | undefined, Value, void>): Promise<Value> {
  for (;;) {
    const place = nextPlace();
    while (isUsedUp()) await nextTurn(place);
    const step = steps.next();
    if (step.done === true) return step.value;
    if (step.value === 'long') await nextTurn(nextPlace());
  }
}

/**
 * Runs a piece of work that cannot be cut, in another turn of the event loop when this one is used up. Of many pieces
 * side by side each begins right after it was looked how much of the turn is used.
 */
export async function runInTurn<Value>(work: () => Value | Promise<Value>): Promise<Value> {
  const place = nextPlace();
  while (isUsedUp()) await nextTurn(place);
  return work();
}

/** For a loop of pieces one after another: waits for another turn of the event loop when this one is used up. */
export async function turnWhenDue(): Promise<void> {
  const place = nextPlace();
  while (isUsedUp()) await nextTurn(place);
}

function isUsedUp(): boolean {
  if (beganMs !== undefined) return performance.now() - beganMs >= LIMITS.sliceMaxMs;
  beganMs = performance.now();
  setImmediate(beginTurn);
  return false;
}

function nextPlace(): number {
  places += 1;
  return places;
}

const nextTurn = (place: number): Promise<void> => new Promise((go) => waiting.push({ place, go }));

/** Who worked last comes last: nobody waits for the end of another's long work. */
function beginTurn(): void {
  beganMs = undefined;
  const inOrder = waiting.sort((left, right) => left.place - right.place);
  waiting = [];
  for (const { go } of inOrder) go();
}
