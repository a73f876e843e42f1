import type { KeyValueStore, StoredRecord } from '#ports/key-value-store.ts';

/** Records asked for at once when all under a prefix are wanted. */
const PAGE_COUNT = 256;

/** Every record whose key begins with `prefix`, in key order, page by page. @throws StoreError */
export async function* recordsUnder(
  store: Pick<KeyValueStore, 'list'>,
  prefix: string,
): AsyncIterableIterator<StoredRecord> {
  let after: string | undefined;
  for (;;) {
    const page = await store.list(prefix, { limit: PAGE_COUNT, ...(after === undefined ? {} : { after }) });
    yield* page;
    after = page.at(-1)?.key;
    if (after === undefined || page.length < PAGE_COUNT) return;
  }
}
