import type { Page } from '#app/access/list-page.ts';
import type { Applied } from '#app/commit/wait-applied.ts';
import { LIMITS } from '#domain/limits.ts';
import { constant, list, object, type Schema, text } from './schema.ts';

/** Parts of bodies that several endpoints share: how ids, pages and "applied" look in JSON. */

const ID_MAX_CHARS = 64;

export const id = (description: string): Schema<string> => text({ maxLength: ID_MAX_CHARS, description });

/** `all`, or the names of the replicas that have not applied the change within `appliedWaitMaxMs`. */
export const applied: Schema<Applied> = { json: { anyOf: [constant('all').json, list(id('replica')).json] } };

const PAGE_QUERY = {
  limit: text({
    maxLength: 4,
    pattern: '^[1-9][0-9]{0,3}$',
    description: `items wanted, at most ${LIMITS.pageMaxCount}`,
  }),
  cursor: text({ maxLength: 300, description: 'next_cursor of the page before' }),
};

/** The query of a list: `?limit=&cursor=` and what the list adds. */
export const pageQuery = <Extra extends Readonly<Record<string, Schema<string>>>>(extra: Extra) =>
  object({}, { ...PAGE_QUERY, ...extra });

/** How many items a page has at most. More than the greatest page is not a mistake, only more than there is. */
export const pageLimit = (limit: string | undefined): number =>
  Math.min(limit === undefined ? LIMITS.pageDefaultCount : Number(limit), LIMITS.pageMaxCount);

export const pageOf = <Item>(item: Schema<Item>) =>
  object({ items: list(item) }, { next_cursor: text({ maxLength: 300 }) });

/** A page in JSON; `next_cursor` is absent on the last one. */
export const pageBody = <Item>(page: Page<Item>, toBody: (item: Item) => unknown) => ({
  items: page.items.map(toBody),
  ...(page.nextCursor === undefined ? {} : { next_cursor: page.nextCursor }),
});

/** The number in `If-Match: "42"`; undefined when the header is absent or does not name one revision. */
export function revisionOfEtag(value: string | undefined): number | undefined {
  const digits = /^"(\d{1,15})"$/.exec(value ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export const etag = (revision: number): string => `"${revision}"`;
