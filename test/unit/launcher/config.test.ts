import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigurationError } from '#platform/env.ts';
import { readConfig } from '../../../src/launcher/config.ts';
import { createConsole, describeEnding } from '../../../src/launcher/console.ts';
import { curlLines } from '../../../src/launcher/screen.ts';

const TOOLS = { GATEWAY_ENVOY: '/bin/envoy', GATEWAY_NATS_SERVER: '/bin/nats-server' };

test('the defaults are those of the contract', () => {
  expect(readConfig(TOOLS, '/repository')).toMatchObject({
    httpPort: 8080,
    httpsPort: 8443,
    edgeAddress: '127.0.0.1',
    dataFolder: join('/repository', '.data'),
    envoy: '/bin/envoy',
    natsServer: '/bin/nats-server',
    envoyValidator: false,
  });
  expect(readConfig({ ...TOOLS, GATEWAY_ENVOY_VALIDATOR: 'on' }, '/r').envoyValidator).toBe(true);
});

test('every mistake is told at once', () => {
  const read = () => readConfig({ GATEWAY_PORT: '80a', GATEWAY_TLS_PORT: '70000' }, '/repository');
  expect(read).toThrow(ConfigurationError);
  for (const name of ['GATEWAY_PORT', 'GATEWAY_TLS_PORT', 'GATEWAY_ENVOY', 'GATEWAY_NATS_SERVER']) {
    expect(read).toThrow(name);
  }
  expect(() => readConfig({ ...TOOLS, GATEWAY_PORT: '9000', GATEWAY_TLS_PORT: '9000' }, '/r')).toThrow('are both 9000');
  expect(readConfig({ ...TOOLS, GATEWAY_PORT: '0', GATEWAY_TLS_PORT: '0' }, '/r').httpPort).toBe(0);
});

test('colours only on a terminal that wants them', () => {
  const lines: string[] = [];
  const stream = (isTTY: boolean) => ({ isTTY, write: (text: string) => lines.push(text) > 0 });
  createConsole(stream(false), {}).say('plain');
  createConsole(stream(true), { NO_COLOR: '1' }).say('plain');
  createConsole(stream(true), {}).say('coloured');
  expect(lines).toEqual(['gateway plain\n', 'gateway plain\n', '\u001b[2mgateway\u001b[0m coloured\n']);
});

test('endings are told in words', () => {
  expect(describeEnding({ code: 2 })).toBe('ended with exit code 2');
  expect(describeEnding({ signal: 'SIGKILL' })).toBe('was killed by SIGKILL');
  expect(describeEnding({ error: 'spawn ENOENT' })).toBe('could not be started: spawn ENOENT');
});

test('there are three lines to copy, each one line', () => {
  const lines = curlLines('http://127.0.0.1:8080');
  expect(lines).toHaveLength(3);
  for (const line of lines) expect(line).not.toContain('\n');
});
