/**
 * JSON schemas with the TypeScript type of what they let through: one declaration validates the request, types the
 * handler and becomes the OpenAPI document.
 */
export interface Schema<Value> {
  readonly json: JsonSchema;
  /** Carries the type only; never set. */
  readonly value?: Value;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

type Properties = Readonly<Record<string, Schema<unknown>>>;
type ValueOf<Of> = Of extends Schema<infer Value> ? Value : never;
type Required<Of extends Properties> = { readonly [Name in keyof Of]: ValueOf<Of[Name]> };
type Optional<Of extends Properties> = { readonly [Name in keyof Of]?: ValueOf<Of[Name]> };

/** A text of bounded length; every text has an upper bound. */
export const text = (rules: {
  readonly maxLength: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly description?: string;
}): Schema<string> => ({ json: { type: 'string', ...rules } });

export const integer = (description?: string, minimum?: number): Schema<number> => ({
  json: {
    type: 'integer',
    ...(description === undefined ? {} : { description }),
    ...(minimum === undefined ? {} : { minimum }),
  },
});

export const flag = (): Schema<boolean> => ({ json: { type: 'boolean' } });

/** RFC 3339, in UTC. */
export const time = (): Schema<string> => ({ json: { type: 'string', format: 'date-time' } });

export const constant = <Value extends string>(value: Value): Schema<Value> => ({ json: { const: value } });

export const nullable = <Value>(schema: Schema<Value>): Schema<Value | null> => ({
  json: { anyOf: [schema.json, { type: 'null' }] },
});

export const list = <Value>(items: Schema<Value>): Schema<readonly Value[]> => ({
  json: { type: 'array', items: items.json },
});

/** Any JSON object: what is in it is checked by a rule of the domain, or is not ours to say. */
export const anyObject = (description: string): Schema<Readonly<Record<string, unknown>>> => ({
  json: { type: 'object', description },
});

/** An object with these members and no others. */
export const object = <Needed extends Properties, Extra extends Properties = Record<never, never>>(
  required: Needed,
  optional?: Extra,
): Schema<Required<Needed> & Optional<Extra>> => ({
  json: {
    type: 'object',
    additionalProperties: false,
    required: Object.keys(required),
    properties: Object.fromEntries(
      Object.entries({ ...required, ...optional }).map(([name, property]) => [name, property.json]),
    ),
  },
});
