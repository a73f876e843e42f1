import { defineConfig } from 'vitest/config';

/** One project per ring of tests: pure ones run in parallel, those with real processes one file at a time. */
const ring = (name: string, folders: readonly string[], parallel: boolean, timeoutMs: number) => ({
  test: {
    name,
    include: folders.map((folder) => `test/${folder}/**/*.test.ts`),
    fileParallelism: parallel,
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
  },
});

export default defineConfig({
  test: {
    projects: [
      ring('pure', ['unit', 'golden', 'scenarios', 'simulation', 'tidy'], true, 30_000),
      ring('real', ['contract', 'api', 'protocol'], false, 60_000),
      ring('system', ['system'], false, 120_000),
    ],
  },
});
