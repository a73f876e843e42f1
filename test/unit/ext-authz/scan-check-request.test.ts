import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMAND_GRPC_PATH } from '#domain/endpoints.ts';
import { LIMITS } from '#domain/limits.ts';
import { messageType } from '#platform/proto-registry.ts';
import { CheckRequestScanner } from '../../../src/authz/ext-authz/wire/scan-check-request.ts';
import { FIELD_EXTRACTION } from '../../../src/authz/ext-authz/wire/scan-extracted-fields.ts';
import {
  bearer,
  COMMAND,
  checkFixture,
  checkJson,
  encodeCheck,
  registry,
  type TestRequest,
} from '../../support/check-fixture.ts';

const checkRequest: DescMessage = messageType(registry, 'envoy.service.auth.v3.CheckRequest');
const scanner = new CheckRequestScanner();

/** What the slow, obvious reader (protobuf-es, then plain objects) finds; undefined where it cannot read the bytes. */
function slowScan(bytes: Buffer) {
  let json: unknown;
  try {
    json = toJson(checkRequest, fromBinary(checkRequest, bytes), { registry, useProtoFieldName: true });
  } catch {
    return undefined;
  }
  const at = (value: unknown, ...names: readonly string[]): unknown =>
    names.reduce<unknown>(
      (current, name) =>
        typeof current === 'object' && current !== null
          ? Object.getOwnPropertyDescriptor(current, name)?.value
          : undefined,
      value,
    );
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
  const attributes = at(json, 'attributes');
  const http = at(attributes, 'request', 'http');
  const raw = list(at(http, 'header_map', 'headers')).map((header): [string, string] => {
    const rawValue = Buffer.from(text(at(header, 'raw_value')), 'base64').toString('latin1');
    return [text(at(header, 'key')), rawValue || text(at(header, 'value'))];
  });
  const plain = Object.entries(at(http, 'headers') ?? {}).map(([key, value]): [string, string] => [key, text(value)]);
  const all = (name: string) => [...plain, ...raw].filter(([key]) => key === name).map(([, value]) => value);
  const fields = at(attributes, 'metadata_context', 'filter_metadata', 'envoy.filters.http.grpc_field_extraction');
  const values = (name: string) => list(at(fields, name)).map(text);
  return {
    method: text(at(http, 'method')),
    path: text(at(http, 'path')),
    authorization: all('authorization'),
    tenantHeaders: all('x-tenant-id'),
    transcoded: all('x-envoy-original-method').length > 0,
    commandIds: [all('x-command-id'), all('idempotency-key')].map((values) => [values.length, values.at(-1) ?? '']),
    stamp: text(at(attributes, 'context_extensions', 'stamp')),
    target: text(at(attributes, 'context_extensions', 'target')),
    message: {
      aggregate_type: values('aggregate_type'),
      aggregate_id: values('aggregate_id'),
      command_id: values('command_id'),
    },
    source: text(at(attributes, 'source', 'address', 'socket_address', 'address')),
  };
}

function fastScan(bytes: Buffer) {
  const found = scanner.scan(bytes);
  if (found === undefined) return undefined;
  return {
    method: found.method,
    path: found.path,
    authorizationCount: found.authorizationCount,
    authorization: found.authorization,
    tenantHeaders: [...found.tenantHeaders],
    transcoded: found.transcoded,
    commandIds: [found.commandId, found.idempotencyKey].map((header) => [header.count, header.read()]),
    stamp: found.stamp,
    target: found.target,
    message: structuredClone(found.message),
    source: found.sourceAddress.read(),
  };
}

/** Both readers in one shape; of several authorization headers only their number matters. */
function expectSame(bytes: Buffer): void {
  const slow = slowScan(bytes);
  const fast = fastScan(bytes);
  expect(slow).toBeDefined();
  const { authorization = [], ...rest } = slow ?? {};
  expect(fast).toEqual({
    ...rest,
    authorizationCount: authorization.length,
    authorization: authorization.at(-1) ?? '',
  });
}

const visible = fc.string({ unit: fc.constantFrom(...'aZ09-_./:%? =~'), maxLength: 40 });
const headerName = fc.constantFrom(
  'authorization',
  'x-tenant-id',
  'x-request-id',
  'content-type',
  'x-correlation-id',
  'x-command-id',
  'idempotency-key',
  'idempotency-kez',
  'x-envoy-original-method',
  'cookie',
  'x-tenant-ie',
  'buthorization',
  ':path',
  'user-agent',
);
const requests: fc.Arbitrary<TestRequest> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'DELETE', ''),
  path: fc.oneof(visible, fc.constantFrom('/v1/query/a', COMMAND_GRPC_PATH)),
  headers: fc.array(fc.tuple(headerName, visible), { maxLength: 12 }),
  extensions: fc.dictionary(fc.constantFrom('stamp', 'target', 'other', 'stamq'), visible),
  fields: fc.dictionary(
    fc.constantFrom('aggregate_type', 'aggregate_id', 'command_id', 'other'),
    fc.array(fc.string({ maxLength: 20, unit: 'grapheme' }), { maxLength: 3 }),
  ),
  raw: fc.boolean(),
});

/** Splits the outermost message and its only member into pieces that protobuf must put together again. */
function inPieces(bytes: Buffer, cuts: readonly number[]): Buffer {
  const inner = bytes.subarray(bytes.length - innerLength(bytes));
  const fields = topFields(inner);
  const pieces = [...cuts, fields.length].map((cut, index) => fields.slice(cuts[index - 1] ?? 0, cut));
  return Buffer.concat(pieces.map((piece) => lengthDelimited(1, Buffer.concat(piece))));
}

const varint = (value: number): Buffer =>
  Buffer.from(value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]);
const lengthDelimited = (field: number, content: Buffer): Buffer =>
  Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);

function readVarint(bytes: Buffer, from: number): readonly [value: number, next: number] {
  let value = 0;
  let at = from;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes.readUInt8(at);
    at += 1;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return [value, at];
  }
}
const innerLength = (bytes: Buffer): number => readVarint(bytes, 1)[0];
function topFields(bytes: Buffer): readonly Buffer[] {
  const fields: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [length, start] = readVarint(bytes, readVarint(bytes, at)[1]);
    fields.push(bytes.subarray(at, start + length));
    at = start + length;
  }
  return fields;
}

describe('the scanner of check requests', () => {
  it('finds what protobuf-es finds, in whatever request', () => {
    fc.assert(
      fc.property(requests, (request) => expectSame(encodeCheck(checkJson(request)))),
      { numRuns: 500 },
    );
  });

  it('puts a message together that came in pieces', () => {
    fc.assert(
      fc.property(requests, fc.array(fc.nat({ max: 5 }), { maxLength: 3 }), (request, cuts) =>
        expectSame(
          inPieces(
            encodeCheck(checkJson(request)),
            cuts.sort((a, b) => a - b),
          ),
        ),
      ),
      { numRuns: 300 },
    );
  });

  it('steps over fields it does not know, of every wire type', () => {
    const unknown = Buffer.concat([
      Buffer.from([0xa0, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
      Buffer.from([0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]),
      Buffer.from([0xa5, 0x06, 1, 2, 3, 4]),
      lengthDelimited(100, Buffer.from('whatever')),
    ]);
    const bytes = encodeCheck(checkJson({ ...COMMAND, headers: [['x-tenant-id', 'acme']] }));
    const inner = bytes.subarray(bytes.length - innerLength(bytes));
    expectSame(Buffer.concat([unknown, lengthDelimited(1, Buffer.concat([unknown, inner, unknown])), unknown]));
  });

  it('refuses what two readers could read in two ways', () => {
    const entry = (key: string, value: string) =>
      Buffer.concat([lengthDelimited(1, Buffer.from(key)), lengthDelimited(2, Buffer.from(value))]);
    const attributes = (...parts: readonly Buffer[]) => lengthDelimited(1, Buffer.concat(parts));
    const stamp = (value: string) => lengthDelimited(10, entry('stamp', value));
    expect(scanner.scan(attributes(stamp('7')))?.stamp).toBe('7');
    expect(scanner.scan(attributes(stamp('7'), stamp('8')))).toBeUndefined();
    const doubled = lengthDelimited(10, Buffer.concat([entry('stamp', '7'), lengthDelimited(2, Buffer.from('8'))]));
    expect(scanner.scan(attributes(doubled))).toBeUndefined();
    const target = (value: string) => lengthDelimited(10, entry('target', value));
    expect(scanner.scan(attributes(target('api'), target('runner')))).toBeUndefined();
    const header = (...parts: readonly Buffer[]) =>
      attributes(lengthDelimited(4, lengthDelimited(2, lengthDelimited(13, lengthDelimited(1, Buffer.concat(parts))))));
    const [name, value, raw] = ['x-tenant-id', 'acme', 'globex'].map((text, index) =>
      lengthDelimited(index + 1, Buffer.from(text)),
    );
    if (name === undefined || value === undefined || raw === undefined) throw new Error('three parts');
    expect(scanner.scan(header(name, value))?.tenantHeaders).toEqual(['acme']);
    expect(scanner.scan(header(name, raw))?.tenantHeaders).toEqual(['globex']);
    expect(scanner.scan(header(name, value, raw))).toBeUndefined();
  });

  it('refuses extracted fields that are there twice, or are no UTF-8', () => {
    const text = (value: Buffer | string) => lengthDelimited(1, lengthDelimited(3, Buffer.from(value)));
    const field = (key: string, ...values: readonly Buffer[]) =>
      lengthDelimited(
        1,
        Buffer.concat([
          lengthDelimited(1, Buffer.from(key)),
          lengthDelimited(2, lengthDelimited(6, Buffer.concat(values))),
        ]),
      );
    const extracted = (...fields: readonly Buffer[]) =>
      lengthDelimited(
        1,
        Buffer.concat([lengthDelimited(1, Buffer.from(FIELD_EXTRACTION)), lengthDelimited(2, Buffer.concat(fields))]),
      );
    const scan = (...namespaces: readonly Buffer[]) =>
      scanner.scan(lengthDelimited(1, lengthDelimited(11, Buffer.concat(namespaces))))?.message.aggregate_type;
    const order = field('aggregate_type', text('order'));
    expect(scan(extracted(order))).toEqual(['order']);
    expect(scan(extracted(field('aggregate_type', text('order'), text('\u20ac'))))).toEqual(['order', '\u20ac']);
    expect(scan(extracted(order, field('aggregate_type', text('invoice'))))).toBeUndefined();
    expect(scan(extracted(order), extracted(field('command_id', text('c1'))))).toBeUndefined();
    expect(scan(extracted(field('aggregate_type', text(Buffer.from([0x6f, 0xff])))))).toBeUndefined();
  });

  it('refuses too much, too little, groups and field number 0', () => {
    expect(scanner.scan(Buffer.alloc(LIMITS.checkRequestMaxBytes + 1))).toBeUndefined();
    for (const bytes of [
      [0x0a],
      [0x0a, 5, 1],
      [0x0b, 0x0c],
      [0x00, 0x00],
      [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
      [0x0a, 0x82, 0x80, 0x80, 0x80, 0x10, 0x12, 0x00],
      [0x80],
    ]) {
      expect(scanner.scan(Buffer.from(bytes))).toBeUndefined();
    }
    expect(scanner.scan(Buffer.alloc(0))).toMatchObject({ method: '', path: '', authorizationCount: 0 });
  });

  it('forgets one request before it reads the next', () => {
    scanner.scan(encodeCheck(checkJson({ ...COMMAND, headers: [bearer('a.b.c'), ['x-tenant-id', 'acme']] })));
    expect(fastScan(Buffer.alloc(0))).toEqual({
      method: '',
      path: '',
      authorizationCount: 0,
      authorization: '',
      tenantHeaders: [],
      transcoded: false,
      commandIds: [
        [0, ''],
        [0, ''],
      ],
      stamp: '',
      target: '',
      message: { aggregate_type: [], aggregate_id: [], command_id: [] },
      source: '',
    });
  });
});

describe('damaged bytes', () => {
  const fixture = checkFixture();
  const allowed = encodeCheck(
    checkJson({
      ...COMMAND,
      headers: [bearer(fixture.tokenOf('usr_member')), ['x-tenant-id', 'acme'], ['cookie', 'a=b']],
    }),
  );
  const forbidden = encodeCheck(
    checkJson({ ...COMMAND, headers: [bearer(fixture.tokenOf('usr_outsider')), ['x-tenant-id', 'acme']] }),
  );
  const damage = fc.array(
    fc.record({ at: fc.nat(), byte: fc.nat({ max: 255 }), how: fc.constantFrom('set', 'insert', 'remove', 'cut') }),
    { minLength: 1, maxLength: 4 },
  );
  type Damage = { at: number; byte: number; how: string };
  const damaged = (bytes: Buffer, changes: readonly Damage[]): Buffer =>
    changes.reduce<Buffer>((current, { at, byte, how }) => {
      const place = current.length === 0 ? 0 : at % current.length;
      const [before, after] = [current.subarray(0, place), current.subarray(place)];
      if (how === 'cut') return before;
      if (how === 'insert') return Buffer.concat([before, Buffer.from([byte]), after]);
      return Buffer.concat([before, Buffer.from(how === 'set' ? [byte] : []), after.subarray(1)]);
    }, bytes);
  const isAllowed = (bytes: Buffer): boolean => {
    const before = fixture.denials.length;
    fixture.check.checkFinally(bytes);
    return fixture.denials.length === before;
  };

  it('never throw, and never let pass what was denied', () => {
    expect(isAllowed(forbidden)).toBe(false);
    fc.assert(
      fc.property(damage, (changes) => !isAllowed(damaged(forbidden, changes))),
      { numRuns: 3_000 },
    );
  });

  it('let an allowed request pass only where all that it was decided by is as it was meant', () => {
    expect(isAllowed(allowed)).toBe(true);
    const meant = slowScan(allowed);
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = damaged(allowed, changes);
        if (!isAllowed(bytes)) return;
        const fast = fastScan(bytes);
        const { message, path = '', authorization = '', ...rest } = fast ?? {};
        // The scheme may be written in any case, with any number of spaces behind it.
        expect(authorization.replace(/^bearer +/i, 'Bearer ')).toBe(meant?.authorization[0]);
        expect(rest).toMatchObject({
          authorizationCount: 1,
          tenantHeaders: ['acme'],
          target: 'aggregate',
          method: 'POST',
        });
        expect(path.split('?')[0]).toBe(COMMAND_GRPC_PATH);
        // Ids of the aggregate and the command are free texts: another one is another valid request.
        const { command_id: said = [], ...named } = message ?? {};
        expect(Object.values(named).every((values) => values.length === 1 && values[0] !== '')).toBe(true);
        expect(said).toEqual([expect.stringMatching(/^[A-Za-z0-9._:~@-]{1,128}$/)]);
      }),
      { numRuns: 3_000 },
    );
  });

  it('of no shape at all are denied', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !isAllowed(Buffer.from(bytes))),
      { numRuns: 2_000 },
    );
  });
});
