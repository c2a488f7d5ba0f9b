import { format, type Schema, Validator } from '@cfworker/json-schema';
import fc from 'fast-check';
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

const NAMES = ['a', 'b', 'ab'];
const small = fc.constantFrom(0, 1, 2);
const { body: anyBody } = fc.letrec((tie) => ({
  body: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, 0, 1, 1.5, '', 'a', 'ab'),
    fc.array(tie('body'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie('body'), { maxKeys: 3 }),
  ),
}));
/** All that leads on to other schemas, but for what asks what they have seen. */
const { schema: anySchema } = fc.letrec<{ schema: boolean | object }>((tie) => {
  const part = tie('schema');
  const named = fc.dictionary(fc.constantFrom(...NAMES), part, { maxKeys: 2 });
  const parts = fc.array(part, { minLength: 1, maxLength: 3 });
  return {
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(true, false, { $ref: '#/$defs/one' }, { type: 'string' }, { type: ['integer', 'object'] }),
      fc.constantFrom({ const: 1 }, { enum: ['a', {}] }, { required: ['a'] }, { minItems: 1 }, { uniqueItems: true }),
      fc.record({ anyOf: parts, not: part }, { requiredKeys: [] }),
      fc.record({ oneOf: parts, allOf: parts }, { requiredKeys: [] }),
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      fc.record({ if: part, then: part, else: part }, { requiredKeys: [] }),
      fc.record({ properties: named, patternProperties: fc.record({ '^a': part }) }, { requiredKeys: [] }),
      fc.record({ properties: named, additionalProperties: part, dependentSchemas: named }, { requiredKeys: [] }),
      fc.record({ propertyNames: part, maxProperties: small, dependencies: named }, { requiredKeys: [] }),
      fc.record({ prefixItems: parts, items: part, $ref: fc.constant('#/$defs/two') }, { requiredKeys: [] }),
      fc.record({ items: parts, additionalItems: part }, { requiredKeys: [] }),
      fc.record({ contains: part, minContains: small, maxContains: small }, { requiredKeys: ['contains'] }),
    ),
  };
});
/** It leads to itself one member or element further in, so it ends. */
const recursive = fc.record({
  properties: fc.constant({ a: { $ref: '#' }, b: { $ref: '#/$defs/two' } }),
  items: fc.constant({ $ref: '#/$defs/one' }),
});

describe('the validation jsonSchema', () => {
  it('says of any body and any schema what the library says', async () => {
    const withoutReferences = anySchema.filter((schema) => !JSON.stringify(schema).includes('$ref'));
    const property = fc.asyncProperty(
      anySchema,
      withoutReferences,
      fc.oneof(recursive, withoutReferences),
      anyBody,
      async (root, one, two, body) => {
        const schema = { allOf: [root], $defs: { one, two } };
        const { valid } = new Validator(JSON.parse(JSON.stringify(schema)) as Schema, '2020-12').validate(body);
        expect((await validate(body, schema)) === true, JSON.stringify({ schema, body })).toBe(valid);
      },
    );
    await fc.assert(property, { numRuns: 1_500 });
  });

  it('knows which members and elements no other schema has seen', async () => {
    const seesA = { properties: { a: { type: 'integer' } } };
    const closed = { anyOf: [seesA, { properties: { b: true }, required: ['b'] }], unevaluatedProperties: false };
    expect(await validate({ a: 1, b: 1 }, closed)).toBe(true);
    expect(await validate({ a: 'x', b: 1 }, closed)).toBe('a: False boolean schema.');
    expect(await validate({ a: 1, c: 1 }, closed)).toBe('c: False boolean schema.');
    const deep = { $ref: '#/$defs/n', $defs: { n: { ...seesA, unevaluatedProperties: { $ref: '#/$defs/n' } } } };
    expect(await validate({ a: 1, b: { a: 1, b: {} } }, deep)).toBe(true);
    expect(await validate({ a: 1, b: { b: { a: 'x' } } }, deep)).toMatch(/^b\/b\/a: Instance type "string"/);
    const list = { prefixItems: [true], contains: { const: 1 }, unevaluatedItems: { type: 'string' } };
    expect(await validate([0, 1, 'x', 1], list)).toBe(true);
    expect(await validate([0, 1, 'x', 2], list)).toBe('3: Instance type "number" is invalid. Expected "string".');
    const chosen = { if: { properties: { a: { const: 1 } }, required: ['a'] }, unevaluatedProperties: false };
    expect(await validate({ a: 1 }, chosen)).toBe(true);
    expect(await validate({ a: 2 }, chosen)).toBe('a: False boolean schema.');
  });

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
    [{ properties: { a: { $dynamicRef: '#n' } } }, /\$dynamicRef is not followed: write \$ref/],
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

  describe('of a schema that refers to itself and has several alternatives', () => {
    const and = { properties: { left: { $ref: '#/$defs/n' }, kind: { const: 'and' } }, required: ['kind'] };
    const or = { properties: { left: { $ref: '#/$defs/n' }, kind: { const: 'or' } }, required: ['kind'] };
    const of = (keyword: 'anyOf' | 'oneOf', more: object = {}) => ({
      $ref: '#/$defs/n',
      $defs: {
        n: { [keyword]: [{ type: 'object', ...and, ...more }, { type: 'object', ...or, ...more }, { type: 'string' }] },
      },
    });
    const tree = (depth: number, leaf: unknown): unknown =>
      depth === 0 ? leaf : { kind: 'or', left: tree(depth - 1, leaf) };

    /** How often the members of a tree are read. */
    async function readsOf(depth: number, leaf: unknown, schema: object): Promise<number> {
      let reads = 0;
      const counting = (value: unknown): unknown =>
        typeof value !== 'object' || value === null
          ? value
          : new Proxy(value, {
              get: (target, name) => {
                reads += 1;
                return Reflect.get(target, name);
              },
            });
      const build = (left: number): unknown => (left === 0 ? leaf : counting({ kind: 'or', left: build(left - 1) }));
      await validate(build(depth), schema);
      return reads;
    }

    it.each([
      ['anyOf', 'right', 'x', of('anyOf')],
      ['oneOf', 'right', 'x', of('oneOf')],
      ['anyOf', 'wrong', 1, of('anyOf')],
      ['oneOf', 'wrong', 1, of('oneOf')],
      ['anyOf and unevaluatedProperties', 'right', 'x', of('anyOf', { unevaluatedProperties: false })],
      ['anyOf and unevaluatedProperties', 'wrong', 1, of('anyOf', { unevaluatedProperties: false })],
    ])('answers in step with the depth of a body, by %s, when it is %s', async (_, __, leaf, schema) => {
      const [some, twice] = [await readsOf(6, leaf, schema), await readsOf(12, leaf, schema)];
      expect(twice).toBeLessThanOrEqual(2.5 * some);
    });

    it.each(['anyOf', 'oneOf'] as const)('is right about a body as deep as bodies may be, by %s', async (keyword) => {
      const schema = of(keyword);
      for (const depth of [1, 20, 62]) {
        expect(await validate(tree(depth, 'x'), schema)).toBe(true);
        const wrong = await validate(tree(depth, { kind: 'xor' }), schema);
        const furthest = `${'left/'.repeat(depth)}kind`;
        expect(String(wrong).split('; ').slice(0, 2)).toEqual([
          `${furthest}: Instance does not match "and".`,
          `${furthest}: Instance does not match "or".`,
        ]);
      }
    });
  });

  it('answers in step with a body whose list stands under a long name', async () => {
    const kind = { anyOf: [{ type: 'string', enum: ['all'] }, { type: 'number' }] };
    const schema = { type: 'object', additionalProperties: { type: 'array', items: kind } };
    const list = Array.from({ length: 20_000 }, () => 0);
    const cpuOf = (name: string) => cpuMsOf(async () => expect(await validate({ [name]: list }, schema)).toBe(true));
    const costs = { short: [] as number[], long: [] as number[] };
    for (let round = 0; round < 5; round += 1) {
      costs.short.push(await cpuOf('a'));
      costs.long.push(await cpuOf('a'.repeat(200_000)));
    }
    expect(Math.min(...costs.long)).toBeLessThan(5 * Math.min(...costs.short));
    expect(await validate({ 'a/b': ['x'] }, schema)).toContain('a~1b/0: Instance does not match any of ["all"].; ');
  });

  it.each(Object.keys(format))('answers within moments to a long text that is to be of the format %s', async (name) => {
    const beginnings = [
      '',
      'http://',
      'a:',
      'http://[',
      '"',
      'a@',
      '/',
      '#/',
      '{',
      '0/',
      'P',
      '1.',
      '12:00:00.',
      '0001-01-01t',
    ];
    const repeated = [
      'a',
      '0',
      '1.',
      'a.',
      '-a',
      ':',
      '/',
      '~0',
      '%41',
      '"',
      '\\a',
      '@',
      '{a}',
      '{',
      ',',
      '?',
      '(',
      'ü',
      '一丁七',
    ];
    // What doubles with each letter would need years for the second.
    for (const length of [30, 20_000]) {
      const cpuMs = await cpuMsOf(async () => {
        for (const beginning of beginnings) {
          for (const part of repeated)
            await validate(`${beginning}${part.repeat(length / part.length)}!\n`, { format: name });
        }
      });
      expect(cpuMs).toBeLessThan(20_000);
    }
  });

  it('takes for a url what a field of the type url takes', async () => {
    const schema = { items: { format: 'url' } };
    expect(problemOf(schema)).toBeUndefined();
    expect(await validate([7, 'https://example.com/x?y', 'http://localhost:8080'], schema)).toBe(true);
    expect(await validate(['http://a.example', 'javascript:alert(1)'], schema)).toBe(
      '1: String does not match format "url".',
    );
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
