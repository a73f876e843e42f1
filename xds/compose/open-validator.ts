import type { FileRegistry } from '@bufbuild/protobuf';
import type { Log } from '#platform/log.ts';
import type { ReplicaBoard } from '#ports/replica-board.ts';
import type { XdsConfig } from '../config.ts';
import { createMessageEncoder } from '../encode.ts';
import { translatorsWith } from '../resources.ts';
import { SECRETS_FOLDER } from '../validator/bootstrap.ts';
import { EnvoyValidator } from '../validator/envoy-validator.ts';
import { envoyRunner } from '../validator/run-envoy.ts';
import { answerValidations } from '../validator/validation-desk.ts';

/** Answers questions about shards, until `stack` is disposed. @returns whether this replica has an Envoy to ask */
export function openValidator(
  { envoyValidator, shardTls }: Pick<XdsConfig, 'envoyValidator' | 'shardTls'>,
  options: {
    readonly board: Pick<ReplicaBoard, 'answer'>;
    readonly registry: FileRegistry;
    readonly log: Log;
    readonly stack: AsyncDisposableStack;
  },
): boolean {
  const { board, registry, log, stack } = options;
  if (envoyValidator === undefined) {
    stack.defer(answerValidations(board, undefined));
    return false;
  }
  const translators = translatorsWith({ ...shardTls, secretsFolder: SECRETS_FOLDER });
  const encode = createMessageEncoder(registry);
  const run = envoyRunner(envoyValidator);
  const validator = stack.use(new EnvoyValidator({ translators: { ...translators, encode }, run, log }));
  stack.defer(answerValidations(board, validator));
  return true;
}
