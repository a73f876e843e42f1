import { copyFile, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { identityOf } from '#domain/internal-identity.ts';
import { issueCertificate, readFolder } from '#platform/certificates/certificate-folder.ts';
import { internalFiles, keepInternalCertificates } from '../../../src/launcher/data/internal-certificates.ts';
import { natsConfig } from '../../../src/launcher/nats-config.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const ROLES = ['xds', 'node/runner/s1'] as const;
const daysLater = (days: number) => new Date(Date.now() + days * 86_400_000);

test('certificates are made once, renewed when due, and made again when they do not fit', async () => {
  await using folder = await tempFolder();
  const keep = (days: number) => keepInternalCertificates(folder.path, { roles: ROLES, now: daysLater(days) });
  const xds = internalFiles(folder.path, 'xds');
  await keep(0);
  const identities = (await readFolder(folder.path, daysLater(0))).map(({ identity }) => identity);
  expect(identities).toEqual([undefined, identityOf('node/runner/s1'), identityOf('xds')]);
  const [first, ca] = [await readFile(xds.certificate, 'utf8'), await readFile(xds.ca, 'utf8')];
  await keep(50);
  expect(await readFile(xds.certificate, 'utf8')).toBe(first);
  await keep(70);
  const second = await readFile(xds.certificate, 'utf8');
  expect(second).not.toBe(first);
  await issueCertificate(folder.path, { name: 'other', identity: 'x:y', dns: [], ips: [], days: 90 }, daysLater(70));
  await copyFile(`${folder.path}/other.key`, xds.key);
  await keep(71);
  expect(await readFile(xds.certificate, 'utf8')).not.toBe(second);
  expect(await readFile(xds.ca, 'utf8')).toBe(ca);
});

test('nats-server speaks TLS to the named clients alone, or in clear', () => {
  const where = { port: 4222, storage: '/data' };
  expect(natsConfig(where)).not.toMatch(/tls|authorization/);
  const tls = { ca: '/ca.pem', certificate: '/n.pem', key: '/n.key', clients: [identityOf('xds')] };
  const config = natsConfig({ ...where, tls });
  expect(config).toContain('verify_and_map: true');
  expect(config).toContain('handshake_first: true');
  expect(config).toContain('{ user: "spiffe://gateway/xds" }');
});
