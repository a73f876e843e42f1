import { stat } from 'node:fs/promises';
import { type CertificateFacts, readFacts, readFolder } from '#platform/certificates/certificate-folder.ts';
import type { Command } from '../../command.ts';
import { UsageError } from '../../failures.ts';
import { type Paint, table } from '../../render.ts';

const DAY_MS = 86_400_000;

export const certsShow: Command = {
  name: 'certs show',
  summary: 'whose certificates these are, and until when they are valid',
  args: ['PATH'],
  options: {},
  details:
    'PATH is a PEM file, or a folder: then its *.pem, the CA first. State `due` means that less than a third of its life is\n' +
    'left. Exit code 1 when one is expired or not valid yet.',
  example: 'certs show pki',
  run: async ({ parsed }) => {
    const path = parsed.args[0] ?? '';
    const now = new Date();
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) throw new UsageError(`${path} is not there`, 'certs show');
    const facts = found.isDirectory() ? await readFolder(path, now) : [await readFacts(path, now)];
    if (facts.length === 0) throw new UsageError(`no *.pem in ${path}`, 'certs show');
    return {
      json: { certificates: certificatesAsJson(facts, now) },
      text: (paint) => certificatesAsText(facts, paint, now),
      exitCode: facts.every(({ state }) => state === 'valid' || state === 'due') ? 0 : 1,
    };
  },
};

/** What is known of certificates, in the words of the JSON output. */
export const certificatesAsJson = (facts: readonly CertificateFacts[], now: Date = new Date()) =>
  facts.map((each) => ({
    file: each.file,
    identity: each.identity ?? null,
    authority: each.isAuthority,
    subject: each.subject,
    issuer: each.issuer,
    dns: each.dns,
    ips: each.ips,
    not_before: each.notBefore.toISOString(),
    not_after: each.notAfter.toISOString(),
    days_left: daysLeft(each, now),
    state: each.state,
  }));

/** The same as a table. */
export const certificatesAsText = (facts: readonly CertificateFacts[], paint: Paint, now: Date = new Date()): string =>
  table(
    ['FILE', 'IDENTITY', 'NAMES', 'VALID UNTIL', 'DAYS', 'STATE'],
    facts.map((each) => [
      each.file,
      each.isAuthority ? 'CA' : (each.identity ?? '-'),
      [...each.dns, ...each.ips].join(' ') || '-',
      each.notAfter.toISOString(),
      String(daysLeft(each, now)),
      each.state,
    ]),
    paint,
  );

const daysLeft = ({ notAfter }: CertificateFacts, now: Date): number =>
  Math.round((notAfter.getTime() - now.getTime()) / DAY_MS);
