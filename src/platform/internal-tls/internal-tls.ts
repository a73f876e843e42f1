import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Log } from '../log.ts';
import { watchFiles } from '../watch-files.ts';

/** Paths of PEM files: whom to trust, and who one is. */
export interface InternalTlsFiles {
  /** One CA or several: while a new CA takes over, both. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** The contents of those files, already known to fit together. */
type InternalTlsMaterial = InternalTlsFiles;

/** A program's certificate inside the gateway, as it is now. */
export interface InternalTls extends Disposable {
  current(): InternalTlsMaterial;
  /** Told of each later material. @returns a function that ends it */
  onChange(listener: (material: InternalTlsMaterial) => void): () => void;
}

/**
 * Reads the certificate, its key and the CA, and follows the files. New ones are taken over when they fit together; until
 * then (files are replaced one after the other) and when they are damaged, those before stay in force.
 * @throws when the files cannot be used at the start
 */
export async function openInternalTls(files: InternalTlsFiles, log: Log): Promise<InternalTls> {
  let material: InternalTlsMaterial | undefined;
  const listeners = new Set<(material: InternalTlsMaterial) => void>();
  const watching = await watchFiles({
    files: { ca: files.ca, certificate: files.certificate, key: files.key },
    what: 'internal certificate',
    onChange: (texts) => {
      requireFit(texts);
      material = texts;
      for (const listener of [...listeners]) listener(texts);
    },
    log,
  });
  return {
    current() {
      if (material === undefined) throw new Error('the files have been read');
      return material;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    [Symbol.dispose]() {
      listeners.clear();
      watching[Symbol.dispose]();
    },
  };
}

/** @throws Error saying what does not fit */
function requireFit({ ca, certificate, key }: InternalTlsMaterial): void {
  const own = new X509Certificate(certificate);
  if (!own.checkPrivateKey(createPrivateKey(key))) throw new Error('the key is not that of the certificate');
  // Node trusts what it can read of a file and says nothing of the rest.
  const blocks = ca.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new Error('the file of the CA has no certificate in it');
  for (const block of blocks) {
    if (!new X509Certificate(block).ca) throw new Error('the file of the CA has a certificate in it that is no CA');
  }
  createSecureContext({ ca, cert: certificate, key });
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?(?:-----END CERTIFICATE-----(?:\s|$)|$)/g;
