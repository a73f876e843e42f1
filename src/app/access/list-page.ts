import { type Outcome, refuse, succeed } from '#domain/errors.ts';
import { LIMITS } from '#domain/limits.ts';
import type { KeyValueStore, StoredRecord } from '#ports/key-value-store.ts';
import { withStorage } from '../commit/commit-decision.ts';

export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Where the next page begins; absent at the end. */
  readonly nextCursor?: string;
}

/** One request looks at no more records than this, however few of them it may show. */
const SCANNED_MAX_COUNT = 5_000;
/** The rest of a key behind the prefix: ids and dots. */
const CURSOR = /^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,3}$/;

/**
 * One page of the records below `prefix` (which ends in a dot) that `accept` turns into an item. A page may hold fewer
 * items than asked for, even none, and still have a successor: when most records are not for this caller.
 */
export function listPage<Item>(options: {
  readonly store: Pick<KeyValueStore, 'list'>;
  readonly prefix: string;
  readonly page: PageRequest;
  readonly accept: (record: StoredRecord) => Item | undefined | Promise<Item | undefined>;
}): Promise<Outcome<Page<Item>>> {
  const { store, prefix, page } = options;
  if (page.cursor !== undefined && !CURSOR.test(page.cursor)) {
    return Promise.resolve(
      refuse('validation_failed', 'the list cannot be continued there', [
        { pointer: '/query/cursor', code: 'cursor', detail: 'must be a next_cursor of this list' },
      ]),
    );
  }
  return withStorage(async () => {
    const items: Item[] = [];
    let after = page.cursor === undefined ? undefined : prefix + page.cursor;
    // One more than wanted tells whether the page has a successor. Later rounds happen only where few are accepted.
    let wanted = page.limit + 1;
    for (let scanned = 0; scanned < SCANNED_MAX_COUNT; ) {
      const records = await store.list(prefix, { limit: wanted, ...(after === undefined ? {} : { after }) });
      for (const record of records) {
        if (items.length >= page.limit) return succeed({ items, nextCursor: cursorOf(prefix, after) });
        const item = await options.accept(record);
        after = record.key;
        if (item !== undefined) items.push(item);
      }
      if (records.length < wanted) return succeed({ items });
      scanned += records.length;
      wanted = LIMITS.pageMaxCount;
    }
    return succeed({ items, nextCursor: cursorOf(prefix, after) });
  });
}

const cursorOf = (prefix: string, key: string | undefined): string => (key ?? prefix).slice(prefix.length);
