import { X509Certificate } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, connect as tlsConnect } from 'node:tls';
import { expect, test } from 'vitest';
import { type CertificateFiles, keepCertificates } from '../../../src/launcher/data/certificates.ts';
import { tempFolder } from '../../support/temp-folder.ts';

const NOW = new Date();
const daysLater = (days: number) => new Date(NOW.getTime() + days * 86_400_000);
const read = async (files: CertificateFiles) => ({
  ca: new X509Certificate(await readFile(files.ca)),
  server: new X509Certificate(await readFile(files.certificate)),
});

test('a CA and a server certificate for the loopback names are made, keys for the owner alone', async () => {
  await using folder = await tempFolder();
  const files = await keepCertificates(folder.path, NOW);
  const { ca, server } = await read(files);
  expect(ca.ca).toBe(true);
  expect(server.ca).toBe(false);
  expect(server.checkIssued(ca)).toBe(true);
  expect(server.verify(ca.publicKey)).toBe(true);
  expect(server.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  expect(server.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  for (const key of [files.key, `${folder.path}/ca.key`]) expect((await stat(key)).mode & 0o777).toBe(0o600);
});

test('they are kept, and renewed with less than 30 days left under the same CA', async () => {
  await using folder = await tempFolder();
  const first = await read(await keepCertificates(folder.path, NOW));
  const kept = await read(await keepCertificates(folder.path, daysLater(334)));
  expect(kept.server.serialNumber).toBe(first.server.serialNumber);
  const renewed = await read(await keepCertificates(folder.path, daysLater(336)));
  expect(renewed.server.serialNumber).not.toBe(first.server.serialNumber);
  expect(renewed.ca.fingerprint256).toBe(first.ca.fingerprint256);
  const tenYears = await read(await keepCertificates(folder.path, daysLater(3_640)));
  expect(tenYears.ca.fingerprint256).not.toBe(first.ca.fingerprint256);
  expect(tenYears.server.checkIssued(tenYears.ca)).toBe(true);
});

test('a damaged file or a key that does not fit is replaced', async () => {
  await using folder = await tempFolder();
  const files = await keepCertificates(folder.path, NOW);
  const first = await read(files);
  await writeFile(files.key, await readFile(`${folder.path}/ca.key`));
  const second = await read(await keepCertificates(folder.path, NOW));
  expect(second.server.serialNumber).not.toBe(first.server.serialNumber);
  expect(second.ca.fingerprint256).toBe(first.ca.fingerprint256);
  await writeFile(files.ca, 'broken');
  const third = await read(await keepCertificates(folder.path, NOW));
  expect(third.server.checkIssued(third.ca)).toBe(true);
});

test('a TLS client that trusts the CA accepts the server by name and by address', async () => {
  await using folder = await tempFolder();
  const files = await keepCertificates(folder.path, NOW);
  const [ca, cert, key] = await Promise.all([readFile(files.ca), readFile(files.certificate), readFile(files.key)]);
  const server = createServer({ cert, key }, (socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  for (const servername of ['localhost', '']) {
    const socket = tlsConnect({ host: '127.0.0.1', port: address.port, ca, servername });
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    expect(socket.authorized).toBe(true);
    socket.destroy();
  }
  await new Promise((resolve) => server.close(resolve));
});
