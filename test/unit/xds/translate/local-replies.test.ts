import { describe, expect, it } from 'vitest';
import { ERROR_CODES, ERRORS, type ErrorCode } from '#domain/errors.ts';
import { localReplies } from '../../../../xds/translate/local-replies.ts';

/** A mapper as far as these tests read it. */
interface Mapper {
  readonly filter: Readonly<Record<string, unknown>>;
  readonly status_code?: number;
  readonly headers_to_add: readonly { readonly header: { readonly key: string; readonly value: string } }[];
  readonly body_format_override: {
    readonly json_format?: Readonly<Record<string, unknown>>;
    readonly content_type?: string;
  };
}

const mappers: readonly Mapper[] = Object(localReplies()).mappers;
const header = ({ headers_to_add }: Mapper, name: string): string | undefined =>
  headers_to_add.findLast(({ header: { key } }) => key === name)?.header.value;
const codeOf = (mapper: Mapper): ErrorCode | undefined =>
  ERROR_CODES.find((code) => code === header(mapper, 'x-gateway-error'));
const isEarly = (mapper: Mapper): boolean => header(mapper, 'x-gateway-early-reply') === '1';
const isProblem = ({ body_format_override }: Mapper): boolean => body_format_override.json_format !== undefined;
const isWeb = ({ body_format_override }: Mapper): boolean =>
  body_format_override.content_type === 'application/grpc-web+proto';
const own = mappers.filter((mapper) => codeOf(mapper) !== undefined);

describe('replies of Envoy', () => {
  it('set the ids, whichever mapper makes them', () => {
    for (const mapper of mappers)
      for (const name of ['x-request-id', 'x-correlation-id'])
        expect(header(mapper, name)).toMatch(/^%CEL|^%UNIQUE_ID%$/);
  });

  it('say what the error list says', () => {
    for (const mapper of own) {
      const code = codeOf(mapper) ?? 'not_found';
      const { status, grpc, title } = ERRORS[code];
      const { json_format, content_type } = mapper.body_format_override;
      if (json_format === undefined) expect(header(mapper, 'grpc-status')).toBe(String(grpc));
      else {
        expect(content_type).toBe('application/problem+json');
        expect(json_format).toMatchObject({ type: `urn:gateway:error:${code}`, title, status, code });
        expect(mapper.status_code).toBe(status);
        expect(header(mapper, 'grpc-status')).toBeUndefined();
      }
    }
  });

  it('have a form for gRPC for each form for HTTP, asked first', () => {
    const codes = (isGrpc: boolean) =>
      own
        .filter((mapper) => !isWeb(mapper))
        .filter(({ body_format_override }) => (body_format_override.json_format === undefined) === isGrpc)
        .map(codeOf);
    expect(codes(true)).toEqual(codes(false));
  });

  it('have a form of their own for gRPC-Web where its filter has not run: a 200 without a body', () => {
    const web = own.filter(isWeb);
    expect(web.map(codeOf)).toEqual(own.filter((mapper) => isEarly(mapper) && isProblem(mapper)).map(codeOf));
    for (const mapper of web) {
      expect(isEarly(mapper)).toBe(true);
      expect(mapper.status_code).toBe(200);
      expect(header(mapper, 'grpc-message')).toMatch(/^[ -~]+$/);
      expect(mapper.body_format_override).toMatchObject({ text_format_source: { inline_string: '' } });
    }
  });

  it('stash the gRPC status where the gRPC-Web filter is about to overwrite it, and nowhere else', () => {
    for (const mapper of own) {
      const status = isEarly(mapper) || isProblem(mapper) ? undefined : header(mapper, 'grpc-status');
      expect(header(mapper, 'x-gateway-grpc-status')).toBe(status);
      if (status !== undefined) expect(mapper.status_code).toBe(200);
    }
  });

  it('never repeat what Envoy says about an upstream', () => {
    const words = mappers.filter((mapper) =>
      JSON.stringify(mapper.body_format_override).includes('%LOCAL_REPLY_BODY%'),
    );
    for (const mapper of words) {
      const text = JSON.stringify(mapper.filter);
      expect(text).toMatch(/direct_response|ext_authz_denied|grpc_json_transcode_failure/);
    }
    expect(JSON.stringify(mappers.map(({ body_format_override }) => body_format_override))).not.toContain(
      'RESPONSE_CODE_DETAILS',
    );
  });

  it('leave no error without a form', () => {
    const last = mappers.at(-1);
    expect(last?.filter).toMatchObject({
      status_code_filter: { comparison: { op: 'GE', value: { default_value: 400 } } },
    });
  });
});
