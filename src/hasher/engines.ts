import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { CURRENT, formatPhc, parsePhc } from './phc.ts';

/** One implementation of Argon2id. All make the same PHC strings and verify what the others made. */
export interface Argon2Engine {
  readonly name: EngineName;
  hash(password: string): Promise<string>;
  /** False also for a string that is no Argon2id hash. */
  verify(hash: string, password: string): Promise<boolean>;
}

/** Quickest first, measured on one core with the current parameters: 12, 21 and 30 ms a hash. */
export const ENGINE_NAMES = ['node-rs', 'argon2', 'node-crypto'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** The quickest engine that loads here: native packages may lack a binary for this machine, node:crypto is always there. */
export async function loadEngine(names: readonly EngineName[] = ENGINE_NAMES): Promise<Argon2Engine> {
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      const engine = await LOADERS[name]();
      // Loading is not proof: a wrong binary fails at the first call.
      if (await engine.verify(await engine.hash('probe'), 'probe')) return engine;
      failures.push(new Error(`${name} does not verify its own hash`));
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, 'no implementation of Argon2id works here');
}

const LOADERS: Readonly<Record<EngineName, () => Promise<Argon2Engine>>> = {
  'node-rs': async () => {
    const library = await import('@node-rs/argon2');
    // The library's default algorithm is Argon2id; its enum cannot be used under type stripping.
    const options = {
      memoryCost: CURRENT.memoryKiB,
      timeCost: CURRENT.passes,
      parallelism: CURRENT.lanes,
      outputLen: CURRENT.tagBytes,
    };
    return bounded('node-rs', {
      hash: (password) => library.hash(password, options),
      verify: (hash, password) => library.verify(hash, password),
    });
  },
  argon2: async () => {
    const library = await import('argon2');
    const { memoryKiB, passes, lanes } = CURRENT;
    return bounded('argon2', {
      hash: async (password) => {
        const salt = randomBytes(CURRENT.saltBytes);
        // Raw, because the library writes the settings of its PHC strings in an order of its own. Argon2id is its default.
        const tag = await library.hash(password, {
          memoryCost: memoryKiB,
          timeCost: passes,
          parallelism: lanes,
          hashLength: CURRENT.tagBytes,
          salt,
          raw: true,
        });
        return formatPhc({ memoryKiB, passes, lanes, salt, tag });
      },
      verify: (hash, password) => library.verify(hash, password),
    });
  },
  'node-crypto': async () =>
    bounded('node-crypto', {
      hash: async (password) => {
        const { memoryKiB, passes, lanes } = CURRENT;
        const salt = randomBytes(CURRENT.saltBytes);
        const tag = await derive(password, { memoryKiB, passes, lanes, salt }, CURRENT.tagBytes);
        return formatPhc({ memoryKiB, passes, lanes, salt, tag });
      },
      verify: async (hash, password) => {
        const parsed = parsePhc(hash);
        if (parsed === undefined) return false;
        return timingSafeEqual(await derive(password, parsed, parsed.tag.length), parsed.tag);
      },
    }),
};

/** Nothing is verified that parsePhc does not accept: its bounds hold for every engine. */
const bounded = (name: EngineName, engine: Omit<Argon2Engine, 'name'>): Argon2Engine => ({
  name,
  hash: engine.hash,
  verify: async (hash, password) => parsePhc(hash) !== undefined && (await engine.verify(hash, password)),
});

function derive(
  password: string,
  settings: { readonly memoryKiB: number; readonly passes: number; readonly lanes: number; readonly salt: Uint8Array },
  tagBytes: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    argon2(
      'argon2id',
      {
        message: password,
        nonce: settings.salt,
        parallelism: settings.lanes,
        tagLength: tagBytes,
        memory: settings.memoryKiB,
        passes: settings.passes,
      },
      (error, tag) => (error === null ? resolve(tag) : reject(error)),
    );
  });
}
