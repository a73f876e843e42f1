import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { certificateName, type InternalRole, identityOf } from '#domain/internal-identity.ts';
import { issueCertificate } from '#platform/certificates/certificate-folder.ts';
import { type InternalTls, openInternalTls } from '#platform/internal-tls/internal-tls.ts';
import { listenMutualTls } from '#platform/internal-tls/listen-mutual-tls.ts';
import { createLog } from '#platform/log.ts';
import { internalFiles } from '../../../../src/launcher/data/internal-certificates.ts';
import { makeInternalCertificates } from '../../../support/generators/internal-certificates.ts';
import { silentLog } from '../../../support/nats.ts';
import { tempFolder } from '../../../support/temp-folder.ts';
import { until } from '../../../support/wait.ts';

const DEADLINE_MS = 10_000;

/** A server of xds that greets whom it admits, Envoy alone. */
async function startServer(folder: string, tls: InternalTls) {
  const admitted: TLSSocket[] = [];
  const stack = new AsyncDisposableStack();
  const listener = stack.use(
    await listenMutualTls({
      listen: { host: '127.0.0.1', port: 0 },
      tls,
      clients: [identityOf('envoy')],
      alpn: ['h2'],
      log: silentLog,
      onConnection: (socket) => {
        admitted.push(socket);
        socket.write('hello');
      },
    }),
  );
  stack.defer(() => {
    for (const socket of admitted) socket.destroy();
  });
  const port = listener.port ?? 0;
  /** What a client of the role gets to read before the end, and what it resumes by. */
  const call = async (
    role: InternalRole | undefined,
    options: { readonly session?: Buffer; readonly alpn?: string } = {},
  ) => {
    const files = role === undefined ? undefined : internalFiles(folder, role);
    const socket = tlsConnect({
      host: '127.0.0.1',
      port,
      ca: await readFile(join(folder, 'ca.pem')),
      ...(files === undefined ? {} : { cert: await readFile(files.certificate), key: await readFile(files.key) }),
      ...(options.session === undefined ? {} : { session: options.session }),
      ALPNProtocols: [options.alpn ?? 'h2'],
      checkServerIdentity: () => undefined,
    });
    let text = '';
    let session: Buffer | undefined;
    socket.on('session', (made) => {
      session = made;
    });
    return new Promise<{ text: string; session: Buffer | undefined; serial: string }>((resolve) => {
      const end = () => {
        const serial = socket.getPeerCertificate()?.serialNumber ?? '';
        socket.destroy();
        resolve({ text, session, serial });
      };
      socket.on('data', (part) => {
        text += String(part);
        end();
      });
      socket.once('close', end);
      socket.on('error', () => {});
    });
  };
  return { call, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function startWorld() {
  const stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(await tempFolder());
  await makeInternalCertificates(folder, ['envoy', 'xds', 'authz']);
  const tls = stack.use(await openInternalTls(internalFiles(folder, 'xds'), silentLog));
  const server = stack.use(await startServer(folder, tls));
  return { folder, tls, server, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const issue = (folder: string, role: InternalRole) =>
  issueCertificate(
    folder,
    { name: certificateName(role), identity: identityOf(role), dns: [], ips: [], days: 1 },
    new Date(),
  );
const serialIn = async (file: string) => new X509Certificate(await readFile(file)).serialNumber;

describe('listenMutualTls', () => {
  it('hands over connections of the expected client and of nobody else', async () => {
    await using world = await startWorld();
    expect((await world.server.call('envoy')).text).toBe('hello');
    expect((await world.server.call('authz')).text).toBe('');
    expect((await world.server.call(undefined)).text).toBe('');
    expect((await world.server.call('envoy', { alpn: 'http/1.1' })).text).toBe('');
  });

  it('does not let a refused client in by a session to resume', async () => {
    await using world = await startWorld();
    for (const role of ['authz', undefined] as const) {
      const first = await world.server.call(role);
      const again = first.session === undefined ? first : await world.server.call(role, { session: first.session });
      expect(again.text).toBe('');
    }
  });

  it('shows a new certificate to new connections', async () => {
    await using world = await startWorld();
    const before = (await world.server.call('envoy')).serial;
    await issue(world.folder, 'xds');
    const after = await serialIn(join(world.folder, 'xds.pem'));
    expect(after).not.toBe(before);
    await until(async () => (await world.server.call('envoy')).serial === after, {
      deadlineMs: DEADLINE_MS,
      what: 'the new certificate',
    });
  });

  it('trusts a second CA as soon as it is in the file, beside the first', async () => {
    await using world = await startWorld();
    await using other = await tempFolder();
    await makeInternalCertificates(other.path, ['envoy']);
    const first = await readFile(join(world.folder, 'ca.pem'), 'utf8');
    const second = await readFile(join(other.path, 'ca.pem'), 'utf8');
    for (const file of ['envoy.pem', 'envoy.key']) {
      await writeFile(join(world.folder, file), await readFile(join(other.path, file)));
    }
    expect((await world.server.call('envoy')).text).toBe('');
    await writeFile(join(world.folder, 'ca.pem'), first + second);
    await until(async () => (await world.server.call('envoy')).text === 'hello', {
      deadlineMs: DEADLINE_MS,
      what: 'the second CA to be trusted',
    });
    expect((await world.server.call('authz')).text).toBe('');
  });
});

describe('openInternalTls', () => {
  it('refuses at the start what does not fit together', async () => {
    await using folder = await tempFolder();
    await makeInternalCertificates(folder.path, ['xds', 'authz']);
    const files = internalFiles(folder.path, 'xds');
    const foreignKey = { ...files, key: internalFiles(folder.path, 'authz').key };
    await expect(openInternalTls(foreignKey, silentLog)).rejects.toThrow('not that of the certificate');
    await expect(openInternalTls({ ...files, ca: files.key }, silentLog)).rejects.toThrow('no certificate');
    await expect(openInternalTls({ ...files, ca: files.certificate }, silentLog)).rejects.toThrow('is no CA');
    const joined = join(folder.path, 'joined.pem');
    const ca = await readFile(files.ca, 'utf8');
    await writeFile(joined, ca.trimEnd() + ca);
    await expect(openInternalTls({ ...files, ca: joined }, silentLog)).rejects.toThrow();
    await writeFile(joined, ca + ca);
    (await openInternalTls({ ...files, ca: joined }, silentLog))[Symbol.dispose]();
    await expect(openInternalTls({ ...files, ca: '/nowhere' }, silentLog)).rejects.toThrow('ENOENT');
  });

  it('keeps what it had while the files are damaged, says so, and goes on with the next good ones', async () => {
    await using folder = await tempFolder();
    await makeInternalCertificates(folder.path, ['xds']);
    const files = internalFiles(folder.path, 'xds');
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    using tls = await openInternalTls(files, createLog({ service: 'test', level: 'info', destination }));
    const before = tls.current();
    await writeFile(files.certificate, 'damaged');
    await until(() => lines.some((line) => line.includes('internal certificate not taken over')), {
      deadlineMs: DEADLINE_MS,
      what: 'the complaint',
    });
    expect(tls.current()).toBe(before);
    await issue(folder.path, 'xds');
    const next = await readFile(files.certificate, 'utf8');
    await until(() => tls.current().certificate === next, { deadlineMs: DEADLINE_MS, what: 'the next certificate' });
  });
});
