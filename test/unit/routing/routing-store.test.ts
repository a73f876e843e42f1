import { describe } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { routingStoreSuite } from '../../support/routing-store.suite.ts';

describe('routing revisions over the memory store', () => {
  routingStoreSuite(async () => createMemoryKeyValueStore());
});
