import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { toolPath } from '../../support/tools.ts';
import { PROTO_FOLDER, readSet } from './descriptor-sets.ts';

const GENERATED = ['envoy-api.binpb', 'command-service.binpb', 'versions.json'] as const;
const folder = fileURLToPath(PROTO_FOLDER);

/** A first run on a machine compiles the whole Envoy API; later ones come from Go's cache. */
const COMPILE_DEADLINE_MS = 600_000;

const readText = (name: string): string => readFileSync(join(folder, name), 'utf8');

function sha256Of(name: string): unknown {
  const stated: unknown = JSON.parse(readText('versions.json'));
  expect(stated).toHaveProperty(['sha256', name]);
  return Object(stated).sha256[name];
}

it(
  'the generated files are what proto/generate makes of the sources, byte for byte',
  async () => {
    const output = await mkdtemp(join(tmpdir(), 'gateway-proto-'));
    try {
      await promisify(execFile)(toolPath('go'), ['run', '.', output, folder], {
        cwd: join(folder, 'generate'),
        timeout: COMPILE_DEADLINE_MS,
      });
      for (const name of GENERATED) {
        const fresh = await readFile(join(output, name));
        expect(fresh.equals(readSet(name)), `${name} is stale: run "go run . .." in proto/generate`).toBe(true);
      }
    } finally {
      await rm(output, { recursive: true, force: true });
    }
  },
  COMPILE_DEADLINE_MS,
);

it('versions.json tells the truth about the files and agrees with go.mod', () => {
  for (const name of ['envoy-api.binpb', 'command-service.binpb'])
    expect(createHash('sha256').update(readSet(name)).digest('hex')).toBe(sha256Of(name));
  const { modules } = Object(JSON.parse(readText('versions.json')));
  expect(Object.keys(modules)).toContain('github.com/envoyproxy/go-control-plane/envoy');
  for (const [module, version] of Object.entries(modules))
    expect(readText('generate/go.mod')).toContain(`${module} ${version}`);
});

it('the Envoy API is that of the Envoy we run', () => {
  const { modules } = Object(JSON.parse(readText('versions.json')));
  const tools = Object(JSON.parse(readFileSync(new URL('../../../scripts/tools.json', import.meta.url), 'utf8')));
  expect(modules['github.com/envoyproxy/go-control-plane/envoy']).toBe(`v${tools.envoy.version}`);
});
