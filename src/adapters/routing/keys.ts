/** The keys of bucket ROUTING (design section 4). Everything but `head`, `rev.<n>` and `status.*` is immutable. */
export const HEAD_KEY = 'head';
/** What became of the last table put into `head` by hand and of the routing file: a StatusRecord in JSON. */
export const HEAD_STATUS_KEY = 'status.head';
/** The shards that an xds replica keeps back, and why. */
export const QUARANTINE_STATUS_KEY = 'status.quarantine';
export const CHUNK_PREFIX = 'chunk.';
export const MANIFEST_PREFIX = 'manifest.';
export const REVISION_PREFIX = 'rev.';

export const chunkKey = (sha256: string): string => `${CHUNK_PREFIX}${sha256}`;
export const manifestKey = (sha256: string): string => `${MANIFEST_PREFIX}${sha256}`;
export const revisionKey = (revision: number): string => `${REVISION_PREFIX}${revision}`;
