import { unescape as unescaped } from 'node:querystring';
import type { JsonSchema } from '../message/json-schema.ts';

/** Deeper than anybody reads on. */
const DEEPEST = 12;

/** A value that a schema takes, as far as can be told from it: its own example or default first. */
export function exampleOf(schema: JsonSchema): unknown {
  return new ExampleMaker(schema).of(schema, 0) ?? null;
}

class ExampleMaker {
  readonly #root: JsonSchema;
  /** References that are being followed: a schema that contains itself is shown once. */
  readonly #followed = new Set<unknown>(['#']);

  constructor(root: JsonSchema) {
    this.#root = root;
  }

  /** @returns undefined where it would come around to itself */
  of(schema: unknown, depth: number): unknown {
    if (!isSchema(schema) || depth > DEEPEST) return null;
    const { examples, enum: values, allOf, $ref: reference } = schema;
    for (const name of ['example', 'default', 'const']) if (name in schema) return schema[name];
    if (Array.isArray(examples) && examples.length > 0) return examples[0];
    if (Array.isArray(values) && values.length > 0) return values[0];
    if (typeof reference === 'string') return this.#follow(reference, depth);
    if (Array.isArray(allOf)) return this.of(merged([schema, ...allOf.map((part) => this.#resolved(part))]), depth + 1);
    const [choice] = listOf(schema.anyOf ?? schema.oneOf);
    if (choice !== undefined) return this.of(choice, depth + 1);
    return this.#ofType(schema, depth);
  }

  #follow(reference: string, depth: number): unknown {
    if (this.#followed.has(reference)) return undefined;
    this.#followed.add(reference);
    const value = this.of(this.#found(reference), depth + 1);
    this.#followed.delete(reference);
    return value;
  }

  #ofType(schema: JsonSchema, depth: number): unknown {
    const { type = 'properties' in schema ? 'object' : undefined } = schema;
    switch (Array.isArray(type) ? type[0] : type) {
      case 'object':
        return this.#object(schema, depth);
      case 'array':
        return this.#array(schema, depth);
      case 'string':
        return textOf(schema);
      case 'integer':
      case 'number':
        return numberOf(schema);
      case 'boolean':
        return true;
      default:
        return null;
    }
  }

  #object({ properties }: JsonSchema, depth: number): unknown {
    if (!isSchema(properties)) return {};
    const values = Object.entries(properties).map(([name, part]) => [name, this.of(part, depth + 1)] as const);
    return Object.fromEntries(values.filter(([, value]) => value !== undefined));
  }

  #array({ prefixItems, items }: JsonSchema, depth: number): unknown[] {
    const places = listOf(prefixItems ?? (Array.isArray(items) ? items : undefined));
    if (places.length > 0) return places.map((item) => this.of(item, depth + 1) ?? null);
    const item = isSchema(items) && depth < DEEPEST ? this.of(items, depth + 1) : undefined;
    return item === undefined ? [] : [item];
  }

  #resolved(schema: unknown): unknown {
    return isSchema(schema) && typeof schema.$ref === 'string' ? this.#found(schema.$ref) : schema;
  }

  /** By a JSON pointer into the schema itself (RFC 6901); nothing is looked up elsewhere. */
  #found(reference: string): unknown {
    if (!reference.startsWith('#')) return undefined;
    const names = reference.split('/').slice(1);
    return names.reduce<unknown>((at, name) => {
      // zod writes names as they are, `50% off` too, where a URL has them encoded.
      const key = [name, unescaped(name)].map(unpointed).find((one) => isObject(at) && Object.hasOwn(at, one));
      return isObject(at) && key !== undefined ? at[key] : undefined;
    }, this.#root);
  }
}

const unpointed = (name: string): string => name.replaceAll('~1', '/').replaceAll('~0', '~');

/** An array is one too: pointers lead through both. */
const isObject = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null;

const isSchema = (value: unknown): value is JsonSchema => isObject(value) && !Array.isArray(value);

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** What all of them say together, as far as an example needs it. */
function merged(parts: readonly unknown[]): JsonSchema {
  const all = parts.filter(isSchema);
  const { allOf: _, ...whole }: JsonSchema = Object.assign({}, ...all);
  const properties = Object.assign({}, ...all.map((part) => (isSchema(part.properties) ? part.properties : {})));
  return Object.keys(properties).length === 0 ? whole : { ...whole, properties };
}

const FORMATS: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00.000Z',
  time: '12:00:00Z',
  email: 'ann@example.com',
  uri: 'https://example.com/',
  url: 'https://example.com/',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  uuid: '01890a5d-ac96-774b-bcce-b302099a8057',
};

function textOf({ format, minLength }: JsonSchema): string {
  const text = (typeof format === 'string' ? FORMATS[format] : undefined) ?? 'text';
  return typeof minLength === 'number' ? text.padEnd(Math.min(minLength, 100), 'x') : text;
}

function numberOf({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf }: JsonSchema): number {
  const step = typeof multipleOf === 'number' && multipleOf > 0 ? multipleOf : 1;
  if (typeof minimum === 'number' && minimum > 1) return Math.ceil(minimum / step) * step;
  if (typeof exclusiveMinimum === 'number' && exclusiveMinimum >= 1) {
    return (Math.floor(exclusiveMinimum / step) + 1) * step;
  }
  const most = typeof maximum === 'number' ? maximum : typeof exclusiveMaximum === 'number' ? exclusiveMaximum : 1;
  if (most >= step) return step;
  return type === 'integer' ? Math.floor(most) : most;
}
