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
});
