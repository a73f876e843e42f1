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
      own.filter(({ body_format_override }) => (body_format_override.json_format === undefined) === isGrpc).map(codeOf);
    expect(codes(true)).toEqual(codes(false));
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
