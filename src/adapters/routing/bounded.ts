/**
 * Runs `work` on every item, at most `limit` at once, results in the order of the items. The first failure is thrown
 * once those under way have ended, and no further item is begun after it.
 */
export async function mapBounded<Item, Value>(
  items: readonly Item[],
  limit: number,
  work: (item: Item) => Promise<Value>,
): Promise<readonly Value[]> {
  const queue = items.entries();
  const results = new Map<number, Value>();
  const failures: unknown[] = [];
  const lane = async () => {
    for (const [index, item] of queue) {
      try {
        results.set(index, await work(item));
      } catch (error) {
        failures.push(error);
      }
      if (failures.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return [...results].sort(([left], [right]) => left - right).map(([, value]) => value);
}
