/**
 * How Node is started for programs that requests or routing revisions go through; the images start them the same way.
 *
 * Objects of a request that have to do with HTTP/2 outlive young collections, about 5 KB each, whatever room these have
 * (weak handles count as strong there), and what a young collection has to copy is how long it holds the thread. So: a
 * small young space, which holds it often but for a moment, and a full collection only when 256 MB are there, of which
 * the routing of 100,000 tenants is 60 (docs/performance.md has what it does to the time of a move).
 */
export const HEAP_FLAGS = ['--max-semi-space-size=8', '--initial-old-space-size=256'] as const;
