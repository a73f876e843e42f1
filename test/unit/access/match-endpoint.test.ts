import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileEndpoints, decodeParameter } from '#domain/access/match-endpoint.ts';
import { COMMAND_GRPC_PATH, ENDPOINTS, type EndpointRow } from '#domain/endpoints.ts';

const endpoints = compileEndpoints(ENDPOINTS);
const idOf = (method: string, path: string): string => {
  const match = endpoints.match(method, path);
  return match.kind === 'row' ? match.row.id : match.kind;
};

const ROW: EndpointRow = {
  id: 'row',
  method: 'GET',
  path: '/',
  target: 'api',
  access: 'public',
  tenant: 'ignored',
  bodyMaxBytes: 0,
  timeoutMs: 0,
  retry: 'connect',
};

describe('the endpoint of a request', () => {
  it.each([
    ['POST', '/v1/query/orders', 'query.read'],
    ['POST', '/v1/query/orders?a=/../b//c', 'query.read'],
    ['POST', '/v1/commands/order/42', 'command.submit'],
    ['POST', COMMAND_GRPC_PATH, 'command.submit'],
    ['GET', '/admin/runner/', 'runner.get'],
    ['PATCH', '/admin/runner/a/b/', 'runner.patch'],
    ['GET', '/admin/routing/revisions/7', 'routing.revisions.get'],
    ['GET', '/v1/query/orders', 'method_not_allowed'],
    ['GET', COMMAND_GRPC_PATH, 'method_not_allowed'],
    ['post', '/v1/query/orders', 'method_not_allowed'],
    ['TRACE', '/admin/runner/x', 'method_not_allowed'],
    ['', '/health', 'method_not_allowed'],
    ['GET', '/', 'not_found'],
    ['POST', '/v1/query', 'not_found'],
    ['POST', '/v1/query/', 'not_found'],
    ['POST', '/v1/query/orders/', 'not_found'],
    ['POST', '/v1/query/orders/1', 'not_found'],
    ['POST', '/V1/query/orders', 'not_found'],
    ['GET', '/ADMIN/routing', 'not_found'],
    ['GET', '/%61dmin/routing', 'not_found'],
    ['GET', '/admin/runner', 'not_found'],
    ['GET', '/constructor', 'not_found'],
    ['GET', '/__proto__/toString', 'not_found'],
  ])('%s %s is %s', (method, path, id) => {
    expect(idOf(method, path)).toBe(id);
  });

  it.each([
    '',
    '*',
    'v1/query/a',
    'http://gateway/v1/query/a',
    '//admin/routing',
    '/v1//query/a',
    '/v1/query//',
    '/./admin',
    '/v1/query/..',
    '/v1/query/../x',
    '/v1/query/.',
    '/admin/runner/..;/x/../y',
    '/v1/query/a%2fb',
    '/v1/query/a%2Fb',
    '/v1/query/a%5cb',
    '/v1/query/a%5Cb',
    '/v1/query/a%00',
    '/v1/query/%2e%2e',
    '/v1/query/%2E',
    '/v1/query/a\\b',
    '/v1/query/a#b',
    '/v1/query/a%',
    '/v1/query/a%4',
    '/v1/query/a%zz',
    '/v1/query/a b',
    '/v1/query/a\tb',
    '/v1/query/\u00e9',
    '/v1/query/a\0',
    '/v1/query/a\r\nx: y',
    '/v1/query/%c0%ae',
    '/v1/query/%ff',
    '/v1/query/a%0a',
  ])('%j is no path in its one normal spelling', (path) => {
    expect(idOf('POST', path)).toBe('malformed');
    expect(idOf('POST', `${path}?q=1`)).toBe('malformed');
  });

  it('says which methods there are', () => {
    expect(endpoints.match('PUT', '/admin/iam/assignments')).toEqual({
      kind: 'method_not_allowed',
      allow: 'GET, POST',
    });
  });

  it('hands the raw parameters on, and the one that names the resource', () => {
    expect(endpoints.match('POST', '/v1/query/a%20b?x')).toMatchObject({ values: ['a%20b'], resource: 'a%20b' });
    expect(endpoints.match('DELETE', '/admin/runner/x/y/?z')).toMatchObject({ values: ['x/y/'], resource: undefined });
    expect(endpoints.match('POST', '/v1/commands/order/42')).toMatchObject({ values: ['order', '42'], grpc: false });
    expect(endpoints.match('POST', COMMAND_GRPC_PATH)).toMatchObject({ values: [], grpc: true });
  });

  it('is found for each row of the catalogue, and for no other row', () => {
    for (const row of ENDPOINTS) {
      const path = row.path.replace(/\{rest\.\.\.\}/, 'any/thing').replaceAll(/\{[a-z_]+\}/g, 'value');
      expect(idOf(row.method, path)).toBe(row.id);
    }
  });

  it('prefers the literal, but goes back where it leads nowhere', () => {
    const { match } = compileEndpoints([
      { ...ROW, id: 'literal', path: '/a/b/c' },
      { ...ROW, id: 'parameter', path: '/a/{x}/d' },
      { ...ROW, id: 'rest', path: '/a/{x...}' },
    ]);
    const id = (path: string) => {
      const found = match('GET', path);
      return found.kind === 'row' ? `${found.row.id} ${found.values.join()}` : found.kind;
    };
    expect(id('/a/b/c')).toBe('literal ');
    expect(id('/a/b/d')).toBe('parameter b');
    expect(id('/a/b/e')).toBe('rest b/e');
    expect(id('/a/')).toBe('rest ');
    expect(id('/a')).toBe('not_found');
  });

  it('is what the slow search over the rows finds', () => {
    const segment = fc.constantFrom(
      'v1',
      'query',
      'commands',
      'admin',
      'routing',
      'revisions',
      'runner',
      'iam',
      'x',
      '7',
      '',
    );
    fc.assert(
      fc.property(
        fc.constantFrom('GET', 'POST', 'DELETE'),
        fc.array(segment, { minLength: 1, maxLength: 5 }),
        (method, segments) => {
          const path = `/${segments.join('/')}`;
          fc.pre(!path.includes('//'));
          const onPath = ENDPOINTS.filter((row) => pattern(row.path).test(path) || row.grpcPath === path);
          const row = onPath.find((candidate) => candidate.method === method);
          expect(idOf(method, path)).toBe(row?.id ?? (onPath.length > 0 ? 'method_not_allowed' : 'not_found'));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('cannot be compiled out of a catalogue that contradicts itself', () => {
    const refused = (...rows: readonly EndpointRow[]) => expect(() => compileEndpoints(rows)).toThrow(TypeError);
    refused({ ...ROW, path: '/a/{x}' }, { ...ROW, path: '/a/{y}' });
    refused({ ...ROW, path: '/a/{x...}/b' });
    refused({ ...ROW, path: '/a b' });
    refused({ ...ROW, path: '/a', resource: { from: 'path', name: 'x' } });
  });
});

const pattern = (template: string): RegExp =>
  new RegExp(
    `^${template
      .replace(/\{[a-z_]+\.\.\.\}$/, '.*')
      .replaceAll(/\{[a-z_]+\}/g, '[^/]+')
      .replaceAll('.w', '\\.w')}$`,
  );

describe('a path parameter', () => {
  it.each([
    ['orders', 'orders'],
    ['a%20b', 'a b'],
    ['%e2%82%ac', '\u20ac'],
    ['%25zz', '%zz'],
  ])('%s is read as %s', (raw, text) => {
    expect(decodeParameter(raw)).toBe(text);
  });

  it.each(['%c0%ae', '%e2%82', '%ff', '%ed%a0%80', '%0a', 'a%7f', '%c2%85'])('%s is no text', (raw) => {
    expect(decodeParameter(raw)).toBeUndefined();
  });
});
