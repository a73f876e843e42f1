import { isIP } from 'node:net';
import { join } from 'node:path';
import {
  certificateName,
  type InternalRole,
  identityOf,
  PROGRAM_ROLES,
  parseInternalRole,
} from '#domain/internal-identity.ts';
import { parseAddress } from '#domain/routing/address.ts';
import {
  AUTHORITY_FILES,
  CERTIFICATE_DAYS,
  CertificateFolderError,
  createAuthority,
  issueCertificate,
  renewCertificates,
} from '#platform/certificates/certificate-folder.ts';
import type { Command, ParsedArgs } from '../../command.ts';
import { UsageError } from '../../failures.ts';
import { certificatesAsJson, certificatesAsText } from './certs-show.ts';

const DAYS_MAX_COUNT = 3_650;
const ROLES = `${PROGRAM_ROLES.join(', ')} or node/KIND/SHARD`;

export const certsInit: Command = {
  name: 'certs init',
  summary: 'make the CA that all certificates inside the gateway are issued by',
  args: ['DIR'],
  options: {},
  details:
    `DIR gets ${AUTHORITY_FILES.certificate}, which every program trusts, and ${AUTHORITY_FILES.key}, which signs: keep it where no\n` +
    'program runs. A CA that is there already is never replaced.',
  example: 'certs init pki',
  run: async ({ parsed }) => {
    const made = await inFolder('certs init', () => createAuthority(folderOf(parsed), new Date()));
    return { json: certificatesAsJson([made])[0], text: (paint) => certificatesAsText([made], paint) };
  },
};

export const certsIssue: Command = {
  name: 'certs issue',
  summary: 'issue the certificate of a program inside the gateway, with a new key',
  args: ['ROLE'],
  options: {
    dir: { value: 'DIR', required: true, help: 'the folder of the CA; the files go there, too' },
    dns: { value: 'NAMES', help: 'DNS names, with commas between; programs of the gateway do not look at them' },
    ip: { value: 'ADDRESSES', help: 'IP addresses, with commas between; likewise' },
    days: { value: 'N', help: `valid for N days (default ${CERTIFICATE_DAYS})` },
  },
  details:
    `ROLE is ${ROLES}. It is the identity: the certificate's one URI SAN is\n` +
    `${identityOf('xds')} and so on. A certificate of the same role is replaced; programs that watch the files take\n` +
    'it over for new connections without a restart. Keys are readable by their owner alone (0600).',
  example: 'certs issue node/aggregate/s1 --dir pki --dns tasks.aggregate',
  run: async ({ parsed }) => {
    const role = roleOf(parsed.args[0] ?? '');
    const issue = {
      name: certificateName(role),
      identity: identityOf(role),
      dns: listOf(parsed, 'dns', (text) => parseAddress(text)?.form === 'dns'),
      ips: listOf(parsed, 'ip', (text) => isIP(text) !== 0),
      days: daysOf(parsed),
    };
    const made = await inFolder('certs issue', () => issueCertificate(parsed.required('dir'), issue, new Date()));
    const key = join(parsed.required('dir'), `${issue.name}.key`);
    return {
      json: { ...certificatesAsJson([made])[0], key },
      text: (paint) => certificatesAsText([made], paint),
    };
  },
};

export const certsRenew: Command = {
  name: 'certs renew',
  summary: 'issue the certificates of a folder again that have less than a third of their life left',
  args: ['DIR'],
  options: { all: { help: 'all of them, due or not' } },
  details:
    'Names and length of life stay, keys are new. The CA is never renewed: its successor has to be trusted first.',
  example: 'certs renew pki',
  run: async ({ parsed }) => {
    const options = { all: parsed.flag('all'), now: new Date() };
    const renewed = await inFolder('certs renew', () => renewCertificates(folderOf(parsed), options));
    return {
      json: { renewed: certificatesAsJson(renewed) },
      text: (paint) => (renewed.length === 0 ? 'nothing is due\n' : certificatesAsText(renewed, paint)),
    };
  },
};

const folderOf = (parsed: ParsedArgs): string => parsed.args[0] ?? '';

function roleOf(text: string): InternalRole {
  const role = parseInternalRole(text);
  if (role === undefined) throw new UsageError(`ROLE must be ${ROLES}, not "${text}"`, 'certs issue');
  return role;
}

/** The values of an option that has several, with commas between. */
function listOf(parsed: ParsedArgs, name: 'dns' | 'ip', isOne: (text: string) => boolean): readonly string[] {
  const values = (parsed.text(name) ?? '').split(',').filter((text) => text !== '');
  const wrong = values.find((text) => !isOne(text));
  if (wrong === undefined) return values;
  throw new UsageError(`--${name}: "${wrong}" is no ${name === 'ip' ? 'IP address' : 'DNS name'}`, 'certs issue');
}

function daysOf(parsed: ParsedArgs): number {
  const days = parsed.count('days') ?? CERTIFICATE_DAYS;
  if (days > DAYS_MAX_COUNT) throw new UsageError(`--days must be at most ${DAYS_MAX_COUNT}`, 'certs issue');
  return days;
}

/** What a person gave that cannot be worked with is a mistake in the call; a CA that is there already is a refusal. */
async function inFolder<Value>(command: string, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CertificateFolderError) throw error;
    throw new UsageError(error instanceof Error ? error.message : String(error), command);
  }
}
