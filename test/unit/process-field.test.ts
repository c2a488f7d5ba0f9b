import { describe, expect, it, vi } from 'vitest';
import { Process } from '../../src/process/definition.ts';
import type { FieldOptions } from '../../src/process/field.ts';
import { readFields } from '../../src/process/field-value.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';

function fieldsOf(...fields: readonly FieldOptions[]) {
  const registry = new ProcessRegistry();
  registry.add(new Process({ id: 'p', meta: { fields } }));
  return registry.get('p').fields;
}

/** What a value becomes as a type; undefined: it is refused. */
function read(type: string, value: unknown, choices?: readonly unknown[]): unknown {
  const fields = fieldsOf({ name: 'a', type, ...(choices ? { choices } : {}) });
  const { body, problems } = readFields(fields, { a: value });
  return problems.length > 0 ? undefined : (body as { a: unknown }).a;
}

describe('a field', () => {
  it.each([
    ['CharField', 7, '7'],
    ['text', 'a\nb', 'a\nb'],
    ['integer', '42', 42],
    ['IntegerField', 42.5, undefined],
    ['integer', '9007199254740993', undefined],
    ['integer', true, undefined],
    ['float', '4.5e1', 45],
    ['float', 'much', undefined],
    ['boolean', 'yes', true],
    ['BooleanField', 0, false],
    ['boolean', 'perhaps', undefined],
    ['date', '2024-02-29', '2024-02-29'],
    ['DateField', '2026-02-30', undefined],
    ['datetime', '2026-11-23T10:00:00+02:00', '2026-11-23T08:00:00.000Z'],
    ['DateTimeField', 'tomorrow', undefined],
    ['datetime', '2026-02-30T10:00:00Z', undefined],
    ['datetime', '2026-02-30T10:00:00.000Z', undefined],
    ['email', 'ada@example.com', 'ada@example.com'],
    ['EmailField', 'ada@example', undefined],
    ['email', 'a@b@example.com', undefined],
    ['email', 'a b@example.com', undefined],
    ['url', 'https://example.com/x?y', 'https://example.com/x?y'],
    ['URLField', 'javascript:alert(1)', undefined],
    ['list', [1], [1]],
    ['ListField', '1', undefined],
    ['json', { a: [null] }, { a: [null] }],
    ['JSONField', '', ''],
  ])('of the type %s makes of %j %j', (type, value, expected) => {
    expect(read(type, value)).toEqual(expected);
  });

  it.each([
    ['2026-11-23T10:00', '2026-11-23T01:00:00.000Z'],
    ['2026-11-23 10:00:30', '2026-11-23T01:00:30.000Z'],
    ['2026-11-23T10:00:00.1234', '2026-11-23T01:00:00.123Z'],
    ['2026-11-23T10:00:00+02', '2026-11-23T08:00:00.000Z'],
    ['2026-11-23T10:00z', '2026-11-23T10:00:00.000Z'],
    ['2026-11-23T10:00:00.123Z', '2026-11-23T10:00:00.123Z'],
    ['2026-11-23', undefined],
    ['+012026-11-23T10:00Z', undefined],
  ])(
    'of the type datetime takes %s for a time of the zone of the server where it names none, as `at` does',
    (text, expected) => {
      vi.stubEnv('TZ', 'Asia/Tokyo');
      const time = read('datetime', text);
      vi.unstubAllEnvs();
      expect(time).toBe(expected);
    },
  );

  it('of the type url answers within moments to a host that is long, however it is written, and takes a long path', () => {
    const host = Array.from({ length: 50_000 }, (_, n) => String.fromCodePoint(0x4e00 + ((n * 7919) % 20_000))).join(
      '',
    );
    const before = process.cpuUsage();
    for (const begin of ['http://', 'http:', 'http:\t//\t/', 'ht\ntp:\\\\', ' http:///', 'http://ada:secret@']) {
      for (const one of [host, encodeURIComponent(host)]) expect(read('url', `${begin}${one}/`)).toBeUndefined();
    }
    const { user, system } = process.cpuUsage(before);
    // Each of them takes seconds to be encoded.
    expect((user + system) / 1000).toBeLessThan(3_000);
    const long = `https://example.com/${host}?${host}`;
    expect(read('url', long)).toBe(long);
  });

  it('of the type choice takes its choices, also as the texts that forms send', () => {
    expect([1, '1', '2', 's', 'S', 3].map((value) => read('choice', value, [1, 's']))).toEqual([
      1,
      1,
      undefined,
      's',
      undefined,
      undefined,
    ]);
  });

  it('of any type takes its choices only, each read as its type', () => {
    expect(['a', 'b', 7].map((value) => read('CharField', value, ['a', 7]))).toEqual(['a', undefined, '7']);
    expect([1, '2', 3].map((value) => read('integer', value, [1, '2']))).toEqual([1, 2, undefined]);
    const { problems } = readFields(fieldsOf({ name: 'a', choices: ['x', 'y'] }), { a: 'z' });
    expect(problems).toEqual([{ kind: 'field', name: 'a', why: 'expected one of "x", "y", got "z"' }]);
  });

  it.each([
    ['choice', [{ a: 1 }], /choices\[0\]: expected a text, a number, true or false/],
    ['choice', [[1, 2]], /choices\[0\]: expected a text, a number, true or false/],
    ['integer', [1, 'a'], /choices\[1\]: expected a whole number/],
    ['char', 'a', /choices: expected a list/],
    ['char', [], /choices: expected a list/],
  ])('of the type %s cannot have the choices %j, which nothing is one of', (type, choices, expected) => {
    expect(() => fieldsOf({ name: 'a', type, choices: choices as never })).toThrow(expected);
  });

  it.each([
    ['boolean', 'no', false],
    ['integer', '3', 3],
    ['char', 3, '3'],
    ['datetime', '2026-11-23 10:00:00+02:00', '2026-11-23T08:00:00.000Z'],
    ['json', '', ''],
  ])('of the type %s has the default %j as what it says', (type, value, expected) => {
    const fields = fieldsOf({ name: 'a', type, default: value });
    expect(readFields(fields, {}).body).toEqual({ a: expected });
    expect(fields).toMatchObject([{ default: expected }]);
  });

  it('has its default when it is left out, null or empty; without one it is missing, unless it is not required', () => {
    const fields = fieldsOf(
      { name: 'a' },
      { name: 'b', default: 'x' },
      { name: 'c', required: false },
      { name: 'd', required: true, default: 3, type: 'integer' },
    );
    expect(readFields(fields, { a: '', b: null, other: 1 })).toEqual({
      body: { a: '', b: 'x', d: 3, other: 1 },
      problems: [{ kind: 'field', name: 'a', why: 'it is required' }],
    });
  });

  it('is a member of the body itself, never of its prototype', () => {
    const { problems } = readFields(fieldsOf({ name: 'toString' }), {});
    expect(problems).toHaveLength(1);
    expect(() => fieldsOf({ name: 'constructor' })).toThrow(/letter/);
  });

  it.each([null, 'text', [1]])('is looked for in an object only: %j is none', (body) => {
    expect(readFields(fieldsOf({ name: 'a' }), body).problems).toMatchObject([{ kind: 'body' }]);
  });
});
