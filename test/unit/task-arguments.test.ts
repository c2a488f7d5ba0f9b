import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InvalidArgumentError, InvalidTaskArgumentsError } from '../../src/errors.ts';
import { definitionData, definitionsText } from '../../src/http/function-server/listing.ts';
import { arg, parseArguments } from '../../src/task/argument.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { parseNotice } from '../../src/task/sql/channel.ts';

const parse = (argument: ReturnType<typeof arg.integer> | object, value: unknown): Promise<unknown> =>
  parseArguments('t', { a: argument as ReturnType<typeof arg.integer> }, { a: value }).then(
    (values) => (values as { a: unknown }).a,
  );

/** The makers as JavaScript sees them. */
const untypedArg = arg as unknown as Record<string, (...given: readonly unknown[]) => unknown>;

describe('arguments become what they are declared as', () => {
  it.each([
    [arg.integer(), '3', 3],
    [arg.integer(), '-12', -12],
    [arg.integer(), 3.7, 3],
    [arg.float(), '2.5', 2.5],
    [arg.float(), 1, 1],
    [arg.string(), 5, '5'],
    [arg.string(), true, 'true'],
    ...['true', '1', 't', 'y', 'yes', 'YES', 1, true].map((value) => [arg.boolean(), value, true] as const),
    ...['false', '0', 'f', 'n', 'no', 'No', 0, false].map((value) => [arg.boolean(), value, false] as const),
    [arg.list(), [1], [1]],
    [arg.dict(), { b: 1 }, { b: 1 }],
  ] as const)('%j takes %j as %j', async (argument, value, expected) => {
    expect(await parse(argument, value)).toEqual(expected);
  });

  it.each([
    [arg.integer(), 'three'],
    [arg.integer(), '3.0'],
    [arg.integer(), true],
    [arg.integer(), null],
    [arg.integer(), 2 ** 60],
    [arg.float(), true],
    [arg.float(), 'NaN'],
    [arg.float(), ''],
    [arg.string(), {}],
    [arg.boolean(), 'maybe'],
    [arg.boolean(), 2],
    [arg.list(), {}],
    [arg.dict(), []],
    [arg.dict(), null],
  ] as const)('%j refuses %j', async (argument, value) => {
    await expect(parse(argument, value)).rejects.toThrow(InvalidTaskArgumentsError);
  });

  it('are filled with defaults, and left out when they are not declared', async () => {
    const schema = { unit: arg.string('', { default: 'm' }), note: arg.string('', { required: false }) };
    expect(await parseArguments('t', schema, { other: 1 })).toEqual({ unit: 'm' });
  });

  it('are not taken from the prototype', async () => {
    await expect(parseArguments('t', { constructor: arg.dict() }, {})).rejects.toThrow(InvalidTaskArgumentsError);
  });
});

describe('a Standard Schema whose library tells its JSON Schema', () => {
  const nested = z.object({ street: z.string() }).meta({ id: 'Address' });
  const schema = z.object({
    count: z.int().describe('How many'),
    price: z.number(),
    name: z.string(),
    flag: z.boolean().default(false),
    tags: z.array(z.string()),
    home: nested,
    work: nested.optional(),
    kind: z.enum(['a', 'b']),
    one: z.literal(1),
    maybe: z.string().nullable(),
    either: z.union([z.string(), z.number()]),
    whatever: z.unknown(),
  });

  it('describes its members as declared arguments are', () => {
    const { definition } = task({ name: 'zod', args: schema }, () => undefined);
    const types = Object.fromEntries(definition.args.map(({ name, type }) => [name, type]));
    expect(types).toEqual({
      count: 'INTEGER',
      price: 'FLOAT',
      name: 'STRING',
      flag: 'BOOLEAN',
      tags: 'LIST',
      home: 'DICT',
      work: 'DICT',
      kind: 'STRING',
      one: 'FLOAT',
      maybe: 'STRING',
      either: 'DICT',
      whatever: 'DICT',
    });
    expect(definition.args[0]).toEqual({ name: 'count', type: 'INTEGER', isRequired: true, description: 'How many' });
    const notRequired = definition.args.filter(({ isRequired }) => !isRequired).map(({ name }) => name);
    expect(notRequired).toEqual(['flag', 'work']);
    expect(definition.args.find(({ name }) => name === 'flag')).toMatchObject({ default: false });
  });

  it('is told by the function server in its layout', () => {
    const args = type({ x: 'number.integer', 'note?': 'string' });
    const { definition } = task({ name: 'ark', description: 'By arktype', args }, () => undefined);
    expect(definitionData(definition)).toMatchObject({
      arg_definitions: [
        { name: 'x', type: 'INTEGER', is_required: true, description: '' },
        { name: 'note', type: 'STRING', is_required: false, description: '' },
      ],
    });
    expect(definitionsText([definition], '')).toContain(
      'Args\n    x INTEGER Requiered\n    note STRING NOT-Required\n',
    );
  });

  it('that does not tell, or has no words for it, has no arguments to show and takes them all the same', async () => {
    const silent = v.object({ x: v.number() });
    const dated = z.object({ at: z.date() });
    for (const args of [silent, dated]) expect(task({ name: 't', args }, () => undefined).definition.args).toEqual([]);
    expect(await parseArguments('t', silent, { x: 1 })).toEqual({ x: 1 });
  });
});

describe('a definition', () => {
  it('has the defaults that the seeds have', () => {
    const { definition } = task({ name: 'multi', description: 'Heavy Function', maxConcurrency: 2 }, () => true);
    expect(definition).toMatchObject({
      timeoutMs: 86_400_000,
      maxConcurrency: 2,
      args: [],
      onFull: 'reject',
      attempts: 1,
    });
  });

  it.each([
    [{ name: 'a/b' }],
    [{ name: '' }],
    [{ name: 'a', maxConcurrency: -1 }],
    [{ name: 'a', maxConcurrency: 1.5 }],
    [{ name: 'a', timeout: 0 }],
    [{ name: 'a', env: ['A=B'] }],
    [{ name: 'a', retry: { attempts: 0 } }],
    [{ name: 'a', retry: { attempts: 2, delays: [] } }],
    // Added to the time of its end they would be no time of the database's, and the end could not be written.
    [{ name: 'a', retry: { attempts: 2, delays: ['200000000d' as const] } }],
    [{ name: 'a', resultTtl: '200000000d' as const }],
  ])('refuses %j', (options) => {
    expect(() => task(options, () => undefined)).toThrow(InvalidArgumentError);
  });

  it.each([
    ['a limit that is misspelt', { name: 'a', maxConcurency: 1 }, 'the unknown name "maxConcurency"'],
    ['attempts that are misspelt', { name: 'a', retry: { atempts: 3 } }, 'the unknown name "atempts"'],
    ['a variable that is not in a list, whose letters would be variables', { name: 'a', env: 'SLACK_TOKEN' }, 'string'],
    ['nothing', null, 'null'],
  ])('refuses %s', (_what, options, got) => {
    const untyped = task as (options: unknown, handler: () => void) => unknown;
    expect(() => untyped(options, () => undefined)).toThrow(InvalidArgumentError);
    expect(() => untyped(options, () => undefined)).toThrow(got);
  });

  it.each<[string, () => unknown, string]>([
    ['options in the place of its description', () => untypedArg.integer?.({ required: false }), 'got object'],
    ['an option that is misspelt', () => untypedArg.integer?.('x', { requird: false }), 'the unknown name "requird"'],
    ['a default of another type', () => untypedArg.integer?.('x', { default: 'abc' }), 'INTEGER, got "abc"'],
  ])('refuses an argument with %s', (_what, make, got) => {
    expect(make).toThrow(InvalidArgumentError);
    expect(make).toThrow(got);
  });

  it.each([
    ['a maker that is not called', { x: arg.integer }, 'args.x: expected what arg.integer(…) and its like make, got f'],
    ['the name of a type', { x: 'integer' }, 'got string'],
    ['a list', [arg.integer()], 'got an array'],
    ['nothing', null, 'got null'],
  ])('refuses %s as its arguments', (_what, args, got) => {
    const untyped = task as (options: unknown, handler: () => void) => unknown;
    expect(() => untyped({ name: 'a', args }, () => undefined)).toThrow(InvalidArgumentError);
    expect(() => untyped({ name: 'a', args }, () => undefined)).toThrow(got);
  });

  it('is told by its name, once', () => {
    const [one, two] = [task({ name: 'one' }, () => 1), task({ name: 'one' }, () => 2)];
    const registry = new TaskRegistry();
    registry.add(one);
    registry.addExports({ one, notATask: 5 });
    expect(() => registry.add(two)).toThrow(/two tasks are named "one"/);
  });
});

it('what is no notice of ours is left alone', () => {
  const id = '0198f5e0-0000-7000-8000-000000000000';
  expect(parseNotice('leases')).toBeUndefined();
  expect(parseNotice(`${id} NONSENSE`)).toBeUndefined();
  expect(parseNotice(`${id} progress half`)).toBeUndefined();
  expect(parseNotice(`${id} progress 0.5 half way\nthrough`)).toMatchObject({
    fraction: 0.5,
    note: 'half way\nthrough',
  });
  expect(parseNotice(`${id} SUCCESS {"a":1}`)).toMatchObject({ kind: 'ended', result: '{"a":1}' });
});
