import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type DescMessage, type JsonObject, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { loadRegistry, messageFromJson } from '#platform/proto-registry.ts';
import { validateRules } from '#platform/proto-rules.ts';
import { toolPath } from '../../support/tools.ts';
import { arbitraryMessage } from './arbitrary-message.ts';
import { PROTO_FOLDER, readSet } from './descriptor-sets.ts';

/** Compiling the Go side takes a minute on a machine that never did. */
const COMPILE_DEADLINE_MS = 600_000;
const MESSAGES_PER_TYPE_COUNT = 40;
/** The same messages in every run: a difference is looked into once, not now and then. */
const SEED = 1;

const registry = loadRegistry([readSet('envoy-api.binpb')]);

it(
  'the walker finds as many violations as the code that protoc-gen-validate generates, in random messages of every type',
  async () => {
    const types = [...registry].filter(
      (type): type is DescMessage => type.kind === 'message' && /^(envoy|xds|udpa)\./.test(type.typeName),
    );
    const samples = types.flatMap((type) =>
      fc
        .sample(arbitraryMessage(type), { numRuns: MESSAGES_PER_TYPE_COUNT, seed: SEED })
        .map((json) => ({ type, json })),
    );
    const ours = samples.map(({ type, json }) =>
      validateRules(registry, messageFromJson(registry, type.typeName, json)),
    );
    const verdicts = await secondOpinion(samples);
    expect(verdicts).toHaveLength(samples.length);
    let compared = 0;
    for (const [index, { type, json }] of samples.entries()) {
      if (verdicts[index] === '-') continue;
      const found = ours[index] ?? [];
      compared += 1;
      expect(String(found.length), `${type.typeName} ${JSON.stringify(json)} ${JSON.stringify(found)}`).toBe(
        verdicts[index],
      );
    }
    expect(compared).toBeGreaterThan(30_000);
  },
  COMPILE_DEADLINE_MS,
);

/** What Go finds: a number for each sample, or `-` where it has no rules for the type. */
function secondOpinion(
  samples: readonly { readonly type: DescMessage; readonly json: JsonObject }[],
): Promise<string[]> {
  const lines = samples.map(({ type, json }) => {
    const bytes = toBinary(type, messageFromJson(registry, type.typeName, json));
    return `${type.typeName} ${Buffer.from(bytes).toString('base64')}\n`;
  });
  return new Promise((resolve, reject) => {
    const options = {
      cwd: fileURLToPath(new URL('generate/', PROTO_FOLDER)),
      maxBuffer: 1 << 26,
      timeout: COMPILE_DEADLINE_MS,
    };
    const child = execFile(toolPath('go'), ['run', './pgv'], options, (error, stdout) => {
      if (error === null) resolve(stdout.trimEnd().split('\n'));
      else reject(error);
    });
    child.stdin?.end(lines.join(''));
  });
}
