import { expect, test } from 'vitest';
import { ConfigurationError, EnvReader } from '#platform/env.ts';
import { readInternalTlsFiles } from '#platform/internal-tls/read-tls-files.ts';

const ALL = { GATEWAY_INTERNAL_CA_FILE: '/ca', GATEWAY_INTERNAL_CERT_FILE: '/cert', GATEWAY_INTERNAL_KEY_FILE: '/key' };
const read = (env: Readonly<Record<string, string>>) => {
  const reader = new EnvReader(env);
  const files = readInternalTlsFiles(reader);
  reader.finish();
  return files;
};

test('all three files, or none of them', () => {
  expect(read(ALL)).toEqual({ ca: '/ca', certificate: '/cert', key: '/key' });
  expect(read({})).toBeUndefined();
  expect(
    read({ ...ALL, GATEWAY_INTERNAL_CA_FILE: '', GATEWAY_INTERNAL_CERT_FILE: '', GATEWAY_INTERNAL_KEY_FILE: '' }),
  ).toBe(undefined);
  for (const name of Object.keys(ALL)) expect(() => read({ ...ALL, [name]: '' }), name).toThrow(ConfigurationError);
});
