interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly task: () => void;
}

const before = (left: Entry, right: Entry): boolean =>
  left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);

/** Simulated time: tasks in the order of their times, and of their making where times are equal. */
export class Scheduler {
  nowMs = 0;
  /** Number of the task that runs: what happens in one task happens at once. */
  turn = 0;
  #order = 0;
  /** A binary heap with the next task first. */
  readonly #heap: Entry[] = [];

  after(delayMs: number, task: () => void): void {
    const heap = this.#heap;
    this.#order += 1;
    let index = heap.push({ atMs: this.nowMs + delayMs, order: this.#order, task }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfBefore(index, parent)) return;
      index = parent;
    }
  }

  /** Runs what is due until then, and leaves the clock there. */
  runUntil(atMs: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= atMs; next = this.#heap[0]) {
      this.#removeFirst();
      this.nowMs = next.atMs;
      this.turn += 1;
      next.task();
    }
    this.nowMs = atMs;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let index = 0; ; ) {
      const [left, right] = [2 * index + 1, 2 * index + 2];
      const [first, second] = [heap[left], heap[right]];
      if (first === undefined) return;
      const child = second !== undefined && before(second, first) ? right : left;
      if (!this.#swapIfBefore(child, index)) return;
      index = child;
    }
  }

  #swapIfBefore(child: number, parent: number): boolean {
    const [low, high] = [this.#heap[child], this.#heap[parent]];
    if (low === undefined || high === undefined || !before(low, high)) return false;
    this.#heap[parent] = low;
    this.#heap[child] = high;
    return true;
  }
}
