import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { jsonSchema } from '../../src/process/core/json-schema.ts';
import { frozen, requestFor } from '../../src/process/run-step.ts';

const validate = async (body: unknown, schema: object) => {
  const snapshot = { method: 'POST', url: '/', params: {}, query: {}, headers: {}, body, user: '', instanceId: '' };
  const context = { signal: new AbortController().signal, logger: silentLogger, results: {} };
  return jsonSchema.run(requestFor(jsonSchema, snapshot, context) as never, schema as never);
};
const problemOf = (schema: unknown) => jsonSchema.checkArguments([schema]);

/** Of this process, in milliseconds: what else the machine does is not in it. */
async function cpuMsOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe('the validation jsonSchema', () => {
  it('takes a schema that is frozen, and leaves it as it is', async () => {
    const schema = frozen({ properties: { a: { $ref: '#/$defs/name' } }, $defs: { name: { type: 'string' } } });
    expect(problemOf(schema)).toBeUndefined();
    expect(await validate({ a: 'x' }, schema)).toBe(true);
    expect(await validate({ a: 1 }, schema)).toMatch(/a: Instance type "number" is invalid/);
  });

  it.each([
    [{ properties: { a: { $ref: '#/$defs/nmae' } } }, /\$ref #\/\$defs\/nmae leads to nothing in it/],
    [{ $ref: 'https://example.com/schema.json' }, /leads to nothing in it/],
    [{ properties: { a: { items: { pattern: '(' } } } }, /Invalid regular expression/],
    [{ patternProperties: { '[': {} } }, /Invalid regular expression/],
    [[{}], /a JSON Schema, draft 2020-12/],
    [true, /a JSON Schema, draft 2020-12/],
  ])('refuses %j where the process is defined, before anybody asks', (schema, problem) => {
    expect(problemOf(schema)).toMatch(problem);
  });

  it.each([
    { $ref: '#' },
    { $defs: { a: { $anchor: 'x', type: 'integer' } }, $ref: '#x' },
    { $id: 'https://example.com/a', $defs: { b: { $id: 'b', type: 'string' } }, properties: { b: { $ref: 'b' } } },
    { properties: { $ref: { type: 'string' } }, const: { $ref: '#/none' }, pattern: '^\\p{L}+$' },
    { examples: [{ $ref: 'anything' }], default: { pattern: '(' } },
  ])('takes %j', (schema) => {
    expect(problemOf(schema)).toBeUndefined();
  });

  it('tells what is wrong furthest in, in its order, and no more than ten of it', async () => {
    const schema = {
      required: ['none'],
      properties: { a: { $ref: '#/$defs/short' }, b: { items: { type: 'string' } }, 'a/b': { type: 'string' } },
      $defs: { short: { allOf: [{ properties: { c: { type: 'string' } } }] } },
    };
    expect(await validate({ a: { c: 1 }, 'a/b': 2, b: ['x', 3] }, schema)).toBe(
      [
        'body: Instance does not have required property "none".',
        'a/c: Instance type "number" is invalid. Expected "string".',
        'b/1: Instance type "number" is invalid. Expected "string".',
        'a~1b: Instance type "number" is invalid. Expected "string".',
      ].join('; '),
    );
    const told = await validate({ none: 1, b: Array.from({ length: 20 }, () => 0) }, schema);
    expect(String(told).split('; ')).toHaveLength(10);
  });

  it.each([
    ['of a list', (list: unknown[]) => list, { items: { type: 'string' } }],
    [
      'of a list in an object',
      (list: unknown[]) => ({ list }),
      { properties: { list: { items: { type: 'string' } } } },
    ],
    ['of an object', (list: unknown[]) => ({ ...list }), { additionalProperties: { type: 'string' } }],
  ])('answers within moments when everything %s is wrong', async (_, bodyOf, schema) => {
    const body = bodyOf(Array.from({ length: 60_000 }, () => 0));
    const cpuMs = await cpuMsOf(async () => {
      expect(await validate(body, schema)).toMatch(/^(list\/)?0: Instance type "number" is invalid/);
    });
    expect(cpuMs).toBeLessThan(20_000);
  });

  it('takes a long list for one of several things that it may be, and tells what it is not', async () => {
    const list = Array.from({ length: 150_000 }, () => 0);
    const of = (...types: string[]) => ({
      properties: { list: { anyOf: types.map((type) => ({ items: { type } })) } },
    });
    expect(await validate({ list }, of('string', 'number'))).toBe(true);
    expect(await validate({ list }, of('string', 'boolean'))).toMatch(/list\/0: .*Expected "string"/);
  });

  it('compares the elements of a list that are to be unique, up to so many', async () => {
    const schema = {
      properties: { a: { allOf: [{ minItems: 1 }], uniqueItems: true, unevaluatedItems: { minimum: 0 } } },
    };
    const numbers = (length: number) => ({ a: Array.from({ length }, (_, n) => n) });
    const lists = (length: number) => ({ a: Array.from({ length }, (_, n) => [n]) });
    for (const body of [{ a: 1 }, numbers(1), numbers(5_000), lists(200)]) {
      expect(await validate(body, schema)).toBe(true);
    }
    expect(await validate({ a: [1, 2, 1] }, schema)).toBe('a: Duplicate items at indexes 0 and 2.');
    expect(await validate({ a: [{ b: 1 }, { b: 1 }] }, schema)).toBe('a: Duplicate items at indexes 0 and 1.');
    expect(await validate({ a: [-1] }, schema)).toBe('a/0: -1 is less than 0.');
    expect(await validate({ a: [] }, schema)).toBe('a: Array has too few items (0 < 1).');
    expect(await validate(lists(201), schema)).toBe('a: Array has too many items (201 > 200).');
    const cpuMs = await cpuMsOf(async () => {
      expect(await validate(numbers(200_000), schema)).toBe('a: Array has too many items (200000 > 5000).');
    });
    expect(cpuMs).toBeLessThan(20_000);
  });

  it('has uniqueItems where it is a name or a value and no keyword', async () => {
    const schema = { properties: { uniqueItems: true, a: { const: { uniqueItems: true } } } };
    expect(await validate({ uniqueItems: [1, 1], a: { uniqueItems: true } }, schema)).toBe(true);
  });
});
