import { status } from '@grpc/grpc-js';
import type { FieldError } from '#domain/errors.ts';
import { NODE_LIMITS } from '../limits.ts';

/** What a command type of the `test.` family asks for (README.md of this folder). */
export type TestCommand =
  | { readonly kind: 'fail'; readonly code: status }
  | { readonly kind: 'delay'; readonly delayMs: number }
  | { readonly kind: 'history' }
  | { readonly kind: 'malformed'; readonly error: FieldError };

/** Reads `test.fail.<GRPC_CODE>`, `test.delay.<ms>` and `test.history`; undefined for every other command type. */
export function testCommand(commandType: string): TestCommand | undefined {
  if (commandType === 'test.history') return { kind: 'history' };
  const [, verb, argument] = /^test\.(fail|delay)\.(.+)$/.exec(commandType) ?? [];
  if (argument === undefined) return undefined;
  if (verb === 'delay') {
    const delayMs = /^\d{1,9}$/.test(argument) ? Number(argument) : Number.NaN;
    if (delayMs <= NODE_LIMITS.delayMaxMs) return { kind: 'delay', delayMs };
    return malformed(`test.delay takes 0 to ${NODE_LIMITS.delayMaxMs} ms`);
  }
  const code: unknown = Reflect.get(status, argument);
  if (typeof code === 'number' && code !== status.OK) return { kind: 'fail', code };
  return malformed('test.fail takes the name of a gRPC status other than OK');
}

const malformed = (detail: string): TestCommand => ({
  kind: 'malformed',
  error: { pointer: '/command_type', code: 'test_command', detail },
});
