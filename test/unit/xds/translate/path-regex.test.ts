import { describe, expect, it } from 'vitest';
import { asciiPathRegex, pathRegex } from '../../../../xds/translate/routes/path-regex.ts';

const matches = (expression: string, path: string): boolean => new RegExp(`^(?:${expression})$`).test(path);

describe('the expression for a set of paths', () => {
  it('has common beginnings once', () => {
    expect(pathRegex(['/v1/auth/me', '/v1/auth/signin', '/ready'])).toBe('/(?:ready|v1/auth/(?:me|signin))');
    expect(pathRegex(['/users', '/users/{user_id}'])).toBe('/users(?:/[^/]+)?');
    expect(pathRegex(['/.well-known/jwks.json'])).toBe('/\\.well-known/jwks\\.json');
  });

  it('is the same for every order of the paths', () => {
    const paths = ['/b', '/a/{x}', '/a', '/a/{x}/c', '/a/d'];
    expect(pathRegex(paths)).toBe(pathRegex(paths.toReversed()));
  });

  it.each([
    ['/v1/query/{view}', '/v1/query/orders', true],
    ['/v1/query/{view}', '/v1/query/', false],
    ['/v1/query/{view}', '/v1/query/a/b', false],
    ['/v1/query/{view}', '/v1/queryXa', false],
    ['/admin/runner/{rest...}', '/admin/runner/a/b', true],
    ['/admin/runner/{rest...}', '/admin/runner/', true],
    ['/admin/runner/{rest...}', '/admin/runner', false],
    ['/openapi.json', '/openapiXjson', false],
  ])('%s and %s: %s', (template, path, expected) => {
    expect(matches(pathRegex([template]), path)).toBe(expected);
  });

  it.each([
    ['/v1/commands/order/42', true],
    ['/v1/commands/order/a%20b', true],
    ['/v1/commands/order/%c3%a4', false],
    ['/v1/commands/order/%ff', false],
    ['/v1/commands/order/%', false],
    ['/v1/commands/order/4?x', false],
  ])('with ASCII parameters %s: %s', (path, expected) => {
    expect(matches(asciiPathRegex(['/v1/commands/{aggregate_type}/{aggregate_id}']), path)).toBe(expected);
  });
});
