import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FILES, ROOT } from './tree.ts';

const MAINS = FILES.filter((file) => /^(src|xds|test\/nodes)\/(.*\/)?main\.ts$/.test(file));

/**
 * vitest transforms TypeScript itself, so a test may pass on syntax that Node refuses. Here plain Node loads each
 * program with everything it imports; in an empty environment it must then say what is missing, and end with 2.
 */
describe('every program loads under plain Node', () => {
  test.each(MAINS)('%s without configuration ends with 2 and readable text', (file) => {
    const run = spawnSync(process.execPath, [join(ROOT, file)], {
      cwd: ROOT,
      env: {},
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect({ status: run.status, stackTrace: /\n\s+at /.test(run.stderr), text: run.stderr }).toMatchObject({
      status: 2,
      stackTrace: false,
    });
    expect(run.stderr.length).toBeGreaterThan(20);
  });

  test('all programs are among them', () => {
    expect(MAINS).toEqual([
      'src/authz/main.ts',
      'src/cli/main.ts',
      'src/hasher/main.ts',
      'src/launcher/main.ts',
      'test/nodes/main.ts',
      'xds/main.ts',
    ]);
  });
});
