import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { testCommand } from '../../nodes/aggregate/test-commands.ts';
import { readNodeConfig } from '../../nodes/config.ts';

describe('readNodeConfig', () => {
  it('reads the three settings', () => {
    const config = readNodeConfig({ NODE_KIND: 'runner', NODE_SHARD: 's2', NODE_LISTEN: '127.0.0.1:0' });
    const tracing = { endpoint: undefined, samplePercent: 100 };
    expect(config).toEqual({ kind: 'runner', shard: 's2', host: '127.0.0.1', port: 0, logLevel: 'info', tracing });
  });

  it('names every mistake at once', () => {
    const attempt = () => readNodeConfig({ NODE_KIND: 'x', NODE_SHARD: 'S', NODE_LISTEN: 'nowhere' });
    expect(attempt).toThrow(/NODE_LISTEN[\s\S]*NODE_KIND[\s\S]*NODE_SHARD/);
    expect(() => readNodeConfig({})).toThrow(
      /NODE_KIND is required[\s\S]*NODE_SHARD is required[\s\S]*NODE_LISTEN is required/,
    );
  });
});

describe('testCommand', () => {
  it('reads the test family and leaves everything else alone', () => {
    expect(testCommand('order.place')).toBeUndefined();
    expect(testCommand('test.failure')).toBeUndefined();
    expect(testCommand('test.history')).toEqual({ kind: 'history' });
    expect(testCommand('test.delay.0')).toEqual({ kind: 'delay', delayMs: 0 });
    expect(testCommand('test.fail.ABORTED')).toEqual({ kind: 'fail', code: status.ABORTED });
  });

  it.each(['test.delay.x', 'test.delay.30001', 'test.delay.-1', 'test.fail.OK', 'test.fail.10', 'test.fail.aborted'])(
    'refuses %s',
    (commandType) => {
      expect(testCommand(commandType)).toMatchObject({ kind: 'malformed', error: { pointer: '/command_type' } });
    },
  );
});
