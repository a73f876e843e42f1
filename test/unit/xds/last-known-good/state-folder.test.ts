import { mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import { encodeKnownGood, knownGoodOf } from '../../../../xds/last-known-good/known-good.ts';
import { readState, writeState } from '../../../../xds/last-known-good/state-folder.ts';
import { routingDocument, snapshotOf } from '../../../support/routing.ts';
import { tempFolder } from '../../../support/temp-folder.ts';

const first = snapshotOf(routingDocument({ acme: 's1' }));
const second = snapshotOf(routingDocument({ acme: 's1' }, ['s1', 's2', 's3']), first);

let temporary: Awaited<ReturnType<typeof tempFolder>>;
let folder: string;
let file: string;
beforeEach(async () => {
  temporary = await tempFolder();
  folder = join(temporary.path, 'state', 'xds');
  file = join(folder, 'last-known-good');
});
afterEach(() => temporary[Symbol.asyncDispose]());

describe('the state folder', () => {
  it('holds nothing before something was kept in it, also when it does not exist', async () => {
    expect(await readState(folder)).toEqual({ kind: 'none' });
    await mkdir(folder, { recursive: true });
    expect(await readState(folder)).toEqual({ kind: 'none' });
  });

  it('gives back what was kept last, and holds one file that others cannot read', async () => {
    await writeState(folder, first);
    await writeState(folder, second);
    expect(await readState(folder)).toEqual({ kind: 'good', content: knownGoodOf(second) });
    expect(await readdir(folder)).toEqual(['last-known-good']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('is not disturbed by a write that a crash broke off', async () => {
    await writeState(folder, first);
    await writeFile(`${file}.new`, encodeKnownGood(second).subarray(0, 100));
    expect(await readState(folder)).toEqual({ kind: 'good', content: knownGoodOf(first) });
    await writeState(folder, second);
    expect(await readState(folder)).toEqual({ kind: 'good', content: knownGoodOf(second) });
  });

  it('refuses a damaged file and leaves it as it is', async () => {
    await writeState(folder, first);
    await truncate(file, 200);
    expect(await readState(folder)).toEqual({
      kind: 'refused',
      reason: `${file} is damaged or truncated: its content does not have its checksum`,
    });
    expect(await readFile(file)).toHaveLength(200);
  });

  it('refuses what is no file of a sensible size', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(file, '');
    await truncate(file, LIMITS.routingDocumentMaxBytes + 1);
    expect(await readState(folder)).toMatchObject({ kind: 'refused' });
    expect(await readState(file)).toMatchObject({ kind: 'refused', reason: expect.stringContaining('ENOTDIR') });
  });

  it('says why it cannot keep anything', async () => {
    await writeFile(join(temporary.path, 'state'), 'a file where the folder should be');
    await expect(writeState(folder, first)).rejects.toThrow(/ENOTDIR/);
  });
});
