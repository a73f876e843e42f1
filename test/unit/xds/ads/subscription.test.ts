import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#domain/limits.ts';
import type { DeltaRequest } from '../../../../xds/ads/delta-request.ts';
import { Subscription } from '../../../../xds/ads/subscription.ts';
import type { Delta } from '../../../../xds/ads/subscription-terms.ts';
import type { Resource } from '../../../../xds/snapshot/resource.ts';
import { ResourceTable } from '../../../../xds/snapshot/resource-table.ts';

const resource = (name: string, version: string): Resource => ({
  name,
  version,
  frame: Buffer.from(`${name}@${version}`),
});

const ask = (part: Partial<DeltaRequest> = {}): DeltaRequest => ({
  typeUrl: 'type',
  nodeId: 'node',
  subscribe: [],
  unsubscribe: [],
  initialVersions: {},
  nonce: '',
  error: undefined,
  ...part,
});

interface SetUp {
  readonly mayRemove?: () => boolean;
  readonly isReady?: (name: string) => boolean;
  readonly isWildcardByDefault?: boolean;
}

function setUp(options: SetUp = {}) {
  const table = new ResourceTable();
  let nonces = 0;
  const subscription = new Subscription({
    view: table,
    mayRemove: options.mayRemove ?? (() => true),
    ...(options.isReady === undefined ? {} : { isReady: options.isReady }),
    isWildcardByDefault: options.isWildcardByDefault ?? true,
    nextNonce: () => `n${++nonces}`,
    nowMs: () => 1_000,
  });
  return { table, subscription };
}

const said = (delta: Delta | undefined) =>
  delta && { resources: delta.resources.map((each) => `${each.name}@${each.version}`), removed: [...delta.removed] };

describe('a subscription', () => {
  it('answers the first wildcard request even with nothing, once', () => {
    const { subscription } = setUp();
    subscription.receive(ask());
    expect(said(subscription.next())).toEqual({ resources: [], removed: [] });
    expect(subscription.next()).toBeUndefined();
  });

  it('of a type without a default wildcard: naming nothing asks for nothing, and `*` for everything', () => {
    const { table, subscription } = setUp({ isWildcardByDefault: false });
    table.put(resource('a', '1'));
    subscription.receive(ask());
    expect(subscription.next()).toBeUndefined();
    table.put(resource('b', '1'));
    subscription.changed(['a', 'b']);
    expect(subscription.next()).toBeUndefined();
    subscription.receive(ask({ subscribe: ['b'] }));
    expect(said(subscription.next())).toEqual({ resources: ['b@1'], removed: [] });
    subscription.receive(ask({ subscribe: ['*'] }));
    expect(said(subscription.next())).toEqual({ resources: ['a@1'], removed: [] });
  });

  it('sends everything to a wildcard, then only what changes, and nothing after an ACK', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    table.put(resource('b', '1'));
    subscription.receive(ask());
    const first = subscription.next();
    expect(said(first)).toEqual({ resources: ['a@1', 'b@1'], removed: [] });
    subscription.receive(ask({ nonce: first?.nonce ?? '' }));
    expect(subscription.next()).toBeUndefined();
    table.put(resource('b', '2'));
    subscription.changed(['b']);
    expect(said(subscription.next())).toEqual({ resources: ['b@2'], removed: [] });
  });

  it('sends a resource again to whoever subscribes again, though the version is the same', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    subscription.receive(ask({ subscribe: ['a'] }));
    const first = subscription.next();
    subscription.receive(ask({ nonce: first?.nonce ?? '', subscribe: ['a'] }));
    expect(said(subscription.next())).toEqual({ resources: ['a@1'], removed: [] });
  });

  it('counts subscription changes in a request with a stale nonce', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    table.put(resource('b', '1'));
    subscription.receive(ask({ subscribe: ['a'] }));
    subscription.next();
    expect(subscription.receive(ask({ nonce: 'stale', subscribe: ['b'] }))).toEqual({ kind: 'none' });
    expect(said(subscription.next())).toEqual({ resources: ['b@1'], removed: [] });
  });

  it('tells of an unknown name once, and sends it when it comes into being', () => {
    const { table, subscription } = setUp();
    subscription.receive(ask({ subscribe: ['late'] }));
    expect(said(subscription.next())).toEqual({ resources: [], removed: ['late'] });
    expect(subscription.next()).toBeUndefined();
    table.put(resource('late', '1'));
    subscription.changed(['late']);
    expect(said(subscription.next())).toEqual({ resources: ['late@1'], removed: [] });
  });

  it('says nothing at all of a name that is not ready', () => {
    let ready = false;
    const { table, subscription } = setUp({ isReady: () => ready });
    subscription.receive(ask({ subscribe: ['gateway'] }));
    expect(subscription.next()).toBeUndefined();
    ready = true;
    table.put(resource('gateway', '1'));
    subscription.changed(['gateway']);
    expect(said(subscription.next())).toEqual({ resources: ['gateway@1'], removed: [] });
  });

  it('resumes with what a reconnecting client holds: the difference and the removals', () => {
    const { table, subscription } = setUp();
    table.put(resource('same', '1'));
    table.put(resource('other', '2'));
    table.put(resource('new', '1'));
    subscription.receive(ask({ initialVersions: { same: '1', other: '1', gone: '1' } }));
    expect(said(subscription.next())).toEqual({ resources: ['other@2', 'new@1'], removed: [] });
    expect(said(subscription.next())).toEqual({ resources: [], removed: ['gone'] });
    expect(subscription.ackedVersion('same')).toBe('1');
  });

  it('does not send to a reconnecting client what it subscribes to and holds', () => {
    const { table, subscription } = setUp();
    table.put(resource('gateway', '7-x'));
    subscription.receive(ask({ subscribe: ['gateway'], initialVersions: { gateway: '7-x' } }));
    expect(subscription.next()).toBeUndefined();
  });

  it('keeps a removal for later where it may not be made yet', () => {
    let may = false;
    const { table, subscription } = setUp({ mayRemove: () => may });
    table.put(resource('a', '1'));
    subscription.receive(ask());
    subscription.next();
    table.remove('a');
    subscription.changed(['a']);
    expect(subscription.next()).toBeUndefined();
    may = true;
    expect(said(subscription.next())).toEqual({ resources: [], removed: ['a'] });
  });

  it('wildcard and a name: unsubscribing the wildcard keeps the name, and the other way round', () => {
    const { table, subscription } = setUp();
    for (const name of ['a', 'b']) table.put(resource(name, '1'));
    subscription.receive(ask({ subscribe: ['*', 'a'] }));
    subscription.next();
    subscription.receive(ask({ unsubscribe: ['*'] }));
    for (const name of ['a', 'b']) table.put(resource(name, '2'));
    subscription.changed(['a', 'b']);
    expect(said(subscription.next())).toEqual({ resources: ['a@2'], removed: [] });
    subscription.receive(ask({ subscribe: ['*'] }));
    subscription.next();
    subscription.receive(ask({ unsubscribe: ['a'] }));
    expect(said(subscription.next())).toEqual({ resources: ['a@2'], removed: [] });
  });

  it('never sends rejected bytes again, sends the last good ones once more, and what comes after', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    subscription.receive(ask());
    subscription.receive(ask({ nonce: subscription.next()?.nonce ?? '' }));
    table.put(resource('a', 'bad'));
    subscription.changed(['a']);
    const reception = subscription.receive(ask({ nonce: subscription.next()?.nonce ?? '', error: 'no' }));
    expect(reception).toEqual({ kind: 'nack', names: ['a'], culprit: 'a', version: 'bad', error: 'no' });
    const good = subscription.next();
    expect(said(good)).toEqual({ resources: ['a@1'], removed: [] });
    subscription.receive(ask({ nonce: good?.nonce ?? '' }));
    subscription.changed(['a']);
    expect(subscription.next()).toBeUndefined();
    expect(subscription.ackedVersion('a')).toBe('1');
    table.put(resource('a', '1'));
    subscription.changed(['a']);
    expect(subscription.next()).toBeUndefined(); // back at what the client still holds
    table.put(resource('a', '3'));
    subscription.changed(['a']);
    expect(said(subscription.next())).toEqual({ resources: ['a@3'], removed: [] });
  });

  it('tells a wildcard client that unsubscribed a name when that name is gone', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    subscription.receive(ask());
    subscription.next();
    subscription.receive(ask({ unsubscribe: ['a'] }));
    table.remove('a');
    subscription.changed(['a']);
    expect(said(subscription.next())).toEqual({ resources: [], removed: ['a'] });
    expect(subscription.next()).toBeUndefined();
  });

  it('sends the good version of an earlier stream after a rejection: what came between may have cost the client that', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', 'bad'));
    subscription.receive(ask({ initialVersions: { a: '1' } }));
    subscription.receive(ask({ nonce: subscription.next()?.nonce ?? '', error: 'no' }));
    table.put(resource('a', '1'));
    subscription.changed(['a']);
    expect(said(subscription.next())).toEqual({ resources: ['a@1'], removed: [] });
    table.put(resource('a', 'bad'));
    subscription.changed(['a']);
    expect(subscription.next()).toBeUndefined();
  });

  it('takes a name away though another resource is rejected at the same time', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    table.put(resource('b', '1'));
    subscription.receive(ask());
    subscription.receive(ask({ nonce: subscription.next()?.nonce ?? '' }));
    table.put(resource('a', 'bad'));
    table.remove('b');
    subscription.changed(['a', 'b']);
    const bad = subscription.next();
    expect(said(bad)).toEqual({ resources: ['a@bad'], removed: [] });
    subscription.receive(ask({ nonce: bad?.nonce ?? '', error: 'no' }));
    expect(said(subscription.next())).toEqual({ resources: ['a@1'], removed: [] });
    expect(said(subscription.next())).toEqual({ resources: [], removed: ['b'] });
  });

  it('does not send for ever to a client that rejects everything', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', '1'));
    subscription.receive(ask());
    subscription.receive(ask({ nonce: subscription.next()?.nonce ?? '' }));
    table.put(resource('a', '2'));
    subscription.changed(['a']);
    let sent = 0;
    for (let delta = subscription.next(); delta !== undefined; delta = subscription.next()) {
      sent += 1;
      subscription.receive(ask({ nonce: delta.nonce, error: 'no' }));
    }
    expect(sent).toBe(2); // the new one and the last good one
  });

  it('stops sending to a client that answers nothing, and goes on with the newest when it answers', () => {
    const { table, subscription } = setUp();
    subscription.receive(ask({ subscribe: ['a'] }));
    let sent = 0;
    let last: Delta | undefined;
    for (let version = 0; version < 1_000; version += 1) {
      table.put(resource('a', String(version)));
      subscription.changed(['a']);
      const delta = subscription.next();
      if (delta === undefined) continue;
      sent += 1;
      last = delta;
    }
    expect(sent).toBe(LIMITS.xdsResponsesInFlightMaxCount);
    subscription.receive(ask({ nonce: last?.nonce ?? '' }));
    expect(said(subscription.next())).toEqual({ resources: ['a@999'], removed: [] });
  });

  it('a rejection that arrives after a later version is on its way does not undo that one', () => {
    const { table, subscription } = setUp();
    table.put(resource('a', 'bad'));
    subscription.receive(ask());
    const bad = subscription.next();
    table.put(resource('a', 'good'));
    subscription.changed(['a']);
    const good = subscription.next();
    subscription.receive(ask({ nonce: bad?.nonce ?? '', error: 'no' }));
    subscription.changed(['a']);
    expect(subscription.next()).toBeUndefined();
    subscription.receive(ask({ nonce: good?.nonce ?? '' }));
    expect(subscription.ackedVersion('a')).toBe('good');
  });

  it('finds the one bad resource among many by halving; the others arrive', () => {
    const { table, subscription } = setUp();
    const names = Array.from({ length: 50 }, (_, index) => `c${index}`);
    for (const name of names) table.put(resource(name, '1'));
    subscription.receive(ask());
    const held = new Set<string>();
    const culprits: (string | undefined)[] = [];
    let rounds = 0;
    for (let delta = subscription.next(); delta !== undefined; delta = subscription.next()) {
      rounds += 1;
      const isBad = delta.resources.some((each) => each.name === 'c17');
      if (!isBad) for (const each of delta.resources) held.add(each.name);
      const reception = subscription.receive(ask({ nonce: delta.nonce, error: isBad ? 'bad c17' : undefined }));
      if (reception.kind === 'nack') culprits.push(reception.culprit);
    }
    expect(held.size).toBe(49);
    expect(culprits.at(-1)).toBe('c17');
    expect(rounds).toBeLessThanOrEqual(14);
  });
});

/** A client as the protocol describes it: applies or rejects whole responses, and remembers what it holds. */
class ModelClient {
  readonly held = new Map<string, string>();
  readonly wanted = new Set<string>();
  wildcard = false;
  readonly unanswered: { readonly delta: Delta; readonly rejected: boolean }[] = [];
  readonly rejectedVersions = new Set<string>();

  wants(name: string): boolean {
    return this.wildcard || this.wanted.has(name);
  }

  take(delta: Delta, isBad: (each: Resource) => boolean): void {
    const rejected = delta.resources.some(isBad);
    this.unanswered.push({ delta, rejected });
    if (rejected) return;
    for (const each of delta.resources) this.held.set(each.name, each.version);
    for (const name of delta.removed) this.held.delete(name);
  }
}

const NAMES = ['a', 'b', 'c', 'd'] as const;
const step = fc.oneof(
  fc.record({ do: fc.constant('put' as const), name: fc.constantFrom(...NAMES), version: fc.nat(5) }),
  fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom(...NAMES) }),
  fc.record({ do: fc.constant('subscribe' as const), name: fc.constantFrom('*', ...NAMES) }),
  fc.record({ do: fc.constant('unsubscribe' as const), name: fc.constantFrom('*', ...NAMES) }),
  fc.record({ do: fc.constant('send' as const) }),
  fc.record({ do: fc.constant('answer' as const) }),
  fc.record({ do: fc.constant('stale' as const) }),
);

describe('a subscription and a client, in any order of events', () => {
  it('converges to the table, sends nothing unasked, nothing twice, and no rejected bytes again', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { table, subscription } = setUp();
        const client = new ModelClient();
        const isBad = (each: Resource) => each.version === 'v5';
        const send = () => {
          const delta = subscription.next();
          if (delta === undefined) return false;
          for (const each of delta.resources) {
            expect(client.wants(each.name)).toBe(true);
            if (delta.resources.length === 1)
              expect(client.rejectedVersions.has(`${each.name}@${each.version}`)).toBe(false);
          }
          client.take(delta, isBad);
          return true;
        };
        const answer = () => {
          const next = client.unanswered.shift();
          if (next === undefined) return false;
          const [only] = next.delta.resources;
          if (next.rejected && next.delta.resources.length === 1 && only !== undefined) {
            client.rejectedVersions.add(`${only.name}@${only.version}`);
          }
          subscription.receive(ask({ nonce: next.delta.nonce, error: next.rejected ? 'bad' : undefined }));
          return true;
        };
        subscription.receive(ask({ subscribe: ['a'] }));
        client.wanted.add('a');
        for (const each of steps) {
          if (each.do === 'put' && table.put(resource(each.name, `v${each.version}`)))
            subscription.changed([each.name]);
          if (each.do === 'remove' && table.remove(each.name)) subscription.changed([each.name]);
          if (each.do === 'send') send();
          if (each.do === 'answer') answer();
          if (each.do === 'stale') subscription.receive(ask({ nonce: 'stale' }));
          if (each.do === 'subscribe' || each.do === 'unsubscribe') change(each.do, each.name, client, subscription);
        }
        for (let rounds = 0; send() || answer(); rounds += 1) expect(rounds).toBeLessThan(200);
        for (const name of NAMES) {
          const current = table.get(name)?.version;
          if (!client.wants(name) || current === 'v5') continue;
          expect([name, client.held.get(name)]).toEqual([name, current]);
        }
        expect(subscription.isAwaiting).toBe(false);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The client drops what it no longer wants, and so may forget what it held. */
function change(
  kind: 'subscribe' | 'unsubscribe',
  name: string,
  client: ModelClient,
  subscription: Subscription,
): void {
  if (kind === 'subscribe') {
    if (name === '*') client.wildcard = true;
    else client.wanted.add(name);
    subscription.receive(ask({ subscribe: [name] }));
    return;
  }
  if (name === '*') client.wildcard = false;
  else client.wanted.delete(name);
  for (const held of [...client.held.keys()]) if (!client.wants(held)) client.held.delete(held);
  subscription.receive(ask({ unsubscribe: [name] }));
}
