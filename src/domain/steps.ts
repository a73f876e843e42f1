/**
 * Long work cut into bounded steps: a generator that yields after each of them and returns the outcome. Between two
 * steps whoever runs it may let others have the thread; the work sees nothing of that, because all it reads is immutable
 * or its own. Before a step that is long and cannot be cut it yields `long`.
 */
export type Steps<Value> = Generator<'long' | undefined, Value, void>;

/** All steps in one go, for callers that nobody waits behind. */
export function runToEnd<Value>(steps: Steps<Value>): Value {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** `items` in their order, in lists of at most `maxCount`: what one step takes. Nothing of them may change meanwhile. */
export function* inSlices<Item>(items: Iterable<Item>, maxCount: number): IterableIterator<readonly Item[]> {
  let slice: Item[] = [];
  for (const item of items) {
    slice.push(item);
    if (slice.length < maxCount) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
