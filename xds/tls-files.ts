import type { Log } from '#platform/log.ts';
import { watchFiles } from '#platform/watch-files.ts';

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/**
 * Reads the edge's certificate and key, and again whenever one of the files changes.
 * @param onChange given the PEM texts of both; what it throws is logged, and the pair before stays in force
 * @throws when the files cannot be read at the start
 */
export function watchTlsFiles(options: {
  readonly files: CertificateFiles;
  readonly onChange: (certificate: string, key: string) => void;
  readonly log: Log;
}): Promise<Disposable> {
  const { files, onChange, log } = options;
  return watchFiles({
    files: { certificate: files.certificate, key: files.key },
    what: 'edge certificate',
    onChange: ({ certificate, key }) => onChange(certificate, key),
    log,
  });
}
