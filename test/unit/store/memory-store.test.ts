import { describe } from 'vitest';
import { createMemoryKeyValueStore } from '#adapters/memory/key-value-store.ts';
import { keyValueStoreSuite } from '../../contract/store/key-value-store.suite.ts';

describe('KeyValueStore in memory', () => {
  const store = createMemoryKeyValueStore();
  keyValueStoreSuite(() => store);
});
