import { X509Certificate } from 'node:crypto';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { certificateName, identityOf, nodeRole, parseInternalRole } from '#domain/internal-identity.ts';
import { issueCertificate, readFacts, renewCertificates } from '#platform/certificates/certificate-folder.ts';
import { runCli, tempFolder } from './harness.ts';

const DAY_MS = 86_400_000;
const later = (days: number) => new Date(Date.now() + days * DAY_MS);
const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

async function newAuthority() {
  const folder = await tempFolder();
  expect((await runCli(['certs', 'init', folder.path])).code).toBe(0);
  return folder;
}

describe('certs', () => {
  it('makes a CA once, its key for the owner alone', async () => {
    await using folder = await newAuthority();
    expect(await modeOf(join(folder.path, 'ca.key'))).toBe(0o600);
    expect(new X509Certificate(await readFile(join(folder.path, 'ca.pem'))).ca).toBe(true);
    const again = await runCli(['certs', 'init', folder.path, '--json']);
    expect([again.code, JSON.parse(again.out)]).toMatchObject([1, { code: 'certificates' }]);
  });

  it('issues a certificate for a role: one URI SAN, names beside it, both uses', async () => {
    await using folder = await newAuthority();
    const issued = await runCli([
      ...['certs', 'issue', 'node/aggregate/s1', '--dir', folder.path, '--json'],
      ...['--dns', 'tasks.aggregate,a.internal', '--ip', '10.0.0.5,::1', '--days', '7'],
    ]);
    expect(issued.code).toBe(0);
    expect(JSON.parse(issued.out)).toMatchObject({
      identity: 'spiffe://gateway/node/aggregate/s1',
      file: join(folder.path, 'node-aggregate-s1.pem'),
      key: join(folder.path, 'node-aggregate-s1.key'),
      days_left: 7,
      state: 'valid',
    });
    const certificate = new X509Certificate(await readFile(join(folder.path, 'node-aggregate-s1.pem')));
    expect(certificate.subjectAltName).toBe(
      'URI:spiffe://gateway/node/aggregate/s1, DNS:tasks.aggregate, DNS:a.internal, IP Address:10.0.0.5, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(certificate.verify(new X509Certificate(await readFile(join(folder.path, 'ca.pem'))).publicKey)).toBe(true);
    expect(await modeOf(join(folder.path, 'node-aggregate-s1.key'))).toBe(0o600);
  });

  it('refuses other roles, names and lengths of life, and a folder without a CA', async () => {
    await using folder = await newAuthority();
    const issue = (...words: readonly string[]) => runCli(['certs', 'issue', ...words]);
    expect((await issue('xds')).code).toBe(2);
    for (const role of [
      '',
      'admin',
      'node/aggregate',
      'node/aggregate/S1',
      'node/other/s1',
      '../xds',
      'node/runner/a/b',
    ]) {
      expect((await issue(role, '--dir', folder.path)).code, role).toBe(2);
    }
    for (const option of ['--dns=10.0.0.1', '--dns=a b', '--ip=a.example', '--ip=1.2.3', '--days=0', '--days=3651']) {
      expect((await issue('xds', '--dir', folder.path, option)).code, option).toBe(2);
    }
    expect((await issue('xds', '--dir', join(folder.path, 'nothing'))).code).toBe(1);
    await writeFile(join(folder.path, 'ca.key'), 'damaged');
    expect((await issue('xds', '--dir', folder.path)).code).not.toBe(0);
  });

  it('shows what there is, and fails when one is expired', async () => {
    await using folder = await newAuthority();
    await runCli(['certs', 'issue', 'xds', '--dir', folder.path]);
    const shown = await runCli(['certs', 'show', folder.path, '--json']);
    expect(shown.code).toBe(0);
    expect(JSON.parse(shown.out).certificates).toMatchObject([
      { authority: true, identity: null, state: 'valid' },
      { authority: false, identity: identityOf('xds'), state: 'valid', days_left: 90 },
    ]);
    const expired = { name: 'authz', identity: identityOf('authz'), dns: [], ips: [], days: 1 };
    await issueCertificate(folder.path, expired, later(-3));
    expect((await runCli(['certs', 'show', join(folder.path, 'xds.pem')])).code).toBe(0);
    const failed = await runCli(['certs', 'show', folder.path]);
    expect([failed.code, failed.out]).toEqual([1, expect.stringMatching(/authz\.pem .*expired/)]);
    expect((await runCli(['certs', 'show', join(folder.path, 'missing')])).code).toBe(2);
    expect((await runCli(['certs', 'show', join(folder.path, 'ca.key')])).code).toBe(1);
  });

  it('renews what has less than a third of its life left, with the same names and a new key', async () => {
    await using folder = await newAuthority();
    await runCli(['certs', 'issue', 'xds', '--dir', folder.path, '--dns', 'xds.internal', '--days', '90']);
    const file = join(folder.path, 'xds.pem');
    const before = new X509Certificate(await readFile(file));
    const renew = (days: number) => renewCertificates(folder.path, { all: false, now: later(days) });
    expect(await renew(55)).toEqual([]);
    expect((await readFacts(file, later(61))).state).toBe('due');
    expect(await renew(61)).toHaveLength(1);
    const after = new X509Certificate(await readFile(file));
    expect(after.subjectAltName).toBe(before.subjectAltName);
    expect(after.publicKey.equals(before.publicKey)).toBe(false);
    expect(Math.round((after.validToDate.getTime() - later(61).getTime()) / DAY_MS)).toBe(90);
    const all = await runCli(['certs', 'renew', folder.path, '--all', '--json']);
    expect(JSON.parse(all.out).renewed).toHaveLength(1);
    expect((await runCli(['certs', 'renew', folder.path])).out).toBe('nothing is due\n');
  });
});

describe('roles', () => {
  it('are read from their own text and nothing else', () => {
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/);
    fc.assert(
      fc.property(
        fc.constantFrom('aggregate' as const, 'projection' as const, 'runner' as const),
        name,
        (kind, shard) => {
          const role = nodeRole(kind, shard);
          expect(parseInternalRole(role)).toBe(role);
          expect(certificateName(role)).toMatch(/^[a-z0-9_-]+$/);
        },
      ),
    );
    for (const text of ['', 'node', 'node/', 'node/runner/', '/envoy', 'envoy/', 'Envoy', 'node/runner/s1/']) {
      expect(parseInternalRole(text), text).toBeUndefined();
    }
  });
});
