import { dirname, join } from 'node:path';

/** What the files of one place may import. The first rule whose `files` match a file is the one that holds. */
interface ImportRule {
  readonly files: RegExp;
  /** Beginnings of the paths that may be imported; `$1` is the first group of `files`. */
  readonly may: readonly string[];
  /** npm packages: none, any, or these (a trailing `*` matches the rest). */
  readonly npm: 'none' | 'any' | readonly string[];
  readonly node: boolean;
  readonly why: string;
}

const RULES_OF_THE_PRODUCT = ['src/domain/'];

const IMPORT_RULES: readonly ImportRule[] = [
  { files: /^src\/domain\//, may: ['src/domain/'], npm: 'none', node: false, why: 'the rules are pure' },
  { files: /^src\/ports\//, may: ['src/domain/', 'src/ports/'], npm: 'none', node: false, why: 'interfaces only' },
  {
    files: /^src\/app\//,
    may: [...RULES_OF_THE_PRODUCT, 'src/ports/', 'src/app/', 'src/platform/event-loop.ts'],
    npm: 'none',
    node: false,
    why: 'use cases reach the world through ports',
  },
  {
    files: /^src\/adapters\/([^/]+)\//,
    may: [...RULES_OF_THE_PRODUCT, 'src/ports/', 'src/platform/', 'src/adapters/$1/'],
    npm: 'any',
    node: true,
    why: 'an adapter knows its own technology and no other adapter',
  },
  {
    files: /^src\/platform\//,
    may: ['src/platform/', 'src/domain/errors.ts', 'src/domain/result.ts', 'src/domain/limits.ts'],
    npm: [
      'pino',
      'prom-client',
      '@bufbuild/protobuf*',
      '@grpc/grpc-js',
      '@opentelemetry/*',
      '@peculiar/x509',
      'reflect-metadata',
    ],
    node: true,
    why: 'technique that every program shares: of the product only the shape of errors and the limits',
  },
  {
    files: /^(src\/(?:authz|hasher|launcher)|xds)\/(?:main\.ts$|compose\/)/,
    may: ['src/domain/', 'src/ports/', 'src/app/', 'src/adapters/', 'src/platform/', '$1/'],
    npm: 'any',
    node: true,
    why: 'a main composes its program, with a folder compose/ where it is too long for one file',
  },
  {
    files: /^src\/authz\//,
    may: [...RULES_OF_THE_PRODUCT, 'src/ports/', 'src/app/', 'src/platform/', 'src/authz/'],
    npm: 'any',
    node: true,
    why: 'adapters come in through main.ts',
  },
  {
    files: /^src\/(hasher|launcher)\//,
    may: [...RULES_OF_THE_PRODUCT, 'src/ports/', 'src/app/', 'src/platform/', 'src/$1/'],
    npm: 'any',
    node: true,
    why: 'adapters come in through main.ts',
  },
  {
    files: /^src\/cli\//,
    may: [...RULES_OF_THE_PRODUCT, 'src/platform/certificates/', 'src/cli/'],
    npm: ['yaml'],
    node: true,
    why: 'the command line talks to the API and starts quickly',
  },
  {
    files: /^xds\/translate\//,
    may: [...RULES_OF_THE_PRODUCT, 'xds/translate/'],
    npm: 'none',
    node: false,
    why: 'model in, Envoy resources out: pure',
  },
  {
    files: /^xds\/snapshot\//,
    may: ['xds/snapshot/', 'src/platform/', 'src/domain/limits.ts', 'src/domain/result.ts'],
    npm: ['@bufbuild/protobuf*'],
    node: true,
    why: 'resources and their versions, nothing of routing',
  },
  {
    files: /^xds\/ads\//,
    may: [
      'xds/ads/',
      'xds/snapshot/',
      'src/platform/',
      'src/ports/replica-board.ts',
      'src/domain/limits.ts',
      'src/domain/result.ts',
    ],
    npm: ['@grpc/grpc-js', '@bufbuild/protobuf*'],
    node: true,
    why: 'the protocol carries any resource',
  },
  {
    files: /^xds\//,
    may: [...RULES_OF_THE_PRODUCT, 'src/ports/', 'src/platform/', 'xds/'],
    npm: 'any',
    node: true,
    why: 'adapters come in through main.ts',
  },
  {
    files: /^(scripts|bin)\//,
    may: ['scripts/', 'bin/'],
    npm: 'none',
    node: true,
    why: 'runs on Node 20 before anything is installed',
  },
  { files: /^(test|bench)\//, may: [''], npm: 'any', node: true, why: 'tests and benches may look everywhere' },
];

/** Packages that one place alone knows, so that they can be exchanged there. */
const PACKAGE_OWNERS: Readonly<Record<string, readonly string[]>> = {
  '@nats-io/': ['src/adapters/nats/', 'test/', 'bench/'],
  argon2: ['src/hasher/', 'test/', 'bench/'],
  '@node-rs/argon2': ['src/hasher/', 'test/', 'bench/'],
  pino: ['src/platform/', 'test/', 'bench/'],
  'prom-client': ['src/platform/', 'test/', 'bench/'],
  '@opentelemetry/': ['src/platform/tracing/', 'test/', 'bench/'],
  '@peculiar/x509': ['src/platform/certificates/', 'test/', 'bench/'],
};

const ALIASES: Readonly<Record<string, string>> = {
  '#domain/': 'src/domain/',
  '#ports/': 'src/ports/',
  '#app/': 'src/app/',
  '#adapters/': 'src/adapters/',
  '#platform/': 'src/platform/',
};

const SPECIFIER = /(?:\bfrom\s*|\bimport\s*|\bimport\(\s*)['"]([^'"]+)['"]/g;

/** The modules a source names, in its own words. */
export const specifiersOf = (text: string): readonly string[] =>
  [...text.matchAll(SPECIFIER)].map((match) => match[1] ?? '');

/** The mistakes in what `file` imports, one sentence each. */
export function importMistakes(file: string, specifiers: readonly string[]): readonly string[] {
  const rule = IMPORT_RULES.find((candidate) => candidate.files.test(file));
  if (rule === undefined) return [`${file}: no import rule covers this place`];
  const group = rule.files.exec(file)?.[1] ?? '';
  const may = rule.may.map((prefix) => prefix.replace('$1', group));
  return specifiers.flatMap((specifier) => {
    const complaint = check({ file, specifier, rule, may });
    return complaint === undefined ? [] : [`${file} imports ${specifier}: ${complaint}`];
  });
}

function check(options: {
  readonly file: string;
  readonly specifier: string;
  readonly rule: ImportRule;
  readonly may: readonly string[];
}): string | undefined {
  const { file, specifier, rule, may } = options;
  if (specifier.startsWith('node:')) return rule.node ? undefined : `node modules are not for this layer (${rule.why})`;
  const target = targetOf(file, specifier);
  if (target === undefined) return checkPackage(file, specifier, rule);
  if (/(^|\/)main\.ts$/.test(target)) return 'a main is started, never imported';
  if (target.includes('/compose/') && !/\/(main\.ts$|compose\/)/.test(file) && !/^(test|bench)\//.test(file)) {
    return 'only a main composes its program';
  }
  if (!may.some((prefix) => target.startsWith(prefix)))
    return `only ${may.join(', ')} may be imported here (${rule.why})`;
  return undefined;
}

function checkPackage(file: string, specifier: string, rule: ImportRule): string | undefined {
  const matches = (pattern: string): boolean =>
    pattern.endsWith('*') ? specifier.startsWith(pattern.slice(0, -1)) : specifier === pattern;
  if (rule.npm === 'none' || (rule.npm !== 'any' && !rule.npm.some(matches))) {
    return `this package is not for this layer (${rule.why})`;
  }
  const owners = Object.entries(PACKAGE_OWNERS).find(
    ([name]) => specifier === name || specifier.startsWith(name.endsWith('/') ? name : `${name}/`),
  );
  if (owners === undefined || owners[1].some((place) => file.startsWith(place))) return undefined;
  return `this package belongs to ${owners[1][0] ?? ''}`;
}

/** The file of ours that a specifier means, relative to the root; undefined for a package. */
function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return join(dirname(file), specifier);
  const alias = Object.keys(ALIASES).find((name) => specifier.startsWith(name));
  return alias === undefined ? undefined : `${ALIASES[alias] ?? ''}${specifier.slice(alias.length)}`;
}
