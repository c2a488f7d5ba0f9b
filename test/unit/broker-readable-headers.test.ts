import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_HEADER_DEPTH } from '../../src/broker/frames/field-reader.ts';
import { makeReadable } from '../../src/broker/frames/readable-headers.ts';
import { ByteReader } from '../../src/embedded/broker/byte-reader.ts';
import { ByteWriter } from '../../src/embedded/broker/byte-writer.ts';
import { type Field, type FieldTable, readTable, writeTable } from '../../src/embedded/broker/field-table.ts';
import { header, nestedTable, textField } from '../support/raw-headers.ts';

const encoded = (table: FieldTable): Buffer => {
  const writer = new ByteWriter();
  writeTable(writer, table);
  return Buffer.from(writer.take());
};
const decoded = (content: Buffer): FieldTable => readTable(new ByteReader(content.subarray(14)));

const leaf: fc.Arbitrary<Field> = fc.oneof(
  fc.string({ maxLength: 300 }).map((value): Field => ({ type: 'S', value })),
  fc.integer().map((value): Field => ({ type: 'I', value })),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value): Field => ({ type: 'T', value })),
  fc.boolean().map((value): Field => ({ type: 't', value })),
  fc.double({ noNaN: true }).map((value): Field => ({ type: 'd', value })),
  fc.nat(255).map((value): Field => ({ type: 'D', scale: 1, value })),
  fc.constant<Field>({ type: 'V', value: null }),
  fc.uint8Array({ maxLength: 900 }).map((bytes): Field => ({ type: 'x', value: Buffer.from(bytes) })),
);
/** amqplib cannot read a field called `__proto__`: that is renamed, which other tests hold. */
const name = fc.string({ maxLength: 20 }).filter((text) => text !== '__proto__');
const { table } = fc.letrec<{ table: FieldTable; field: Field }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 4 },
    leaf,
    tie('table').map((value): Field => ({ type: 'F', value })),
    fc.array(tie('field'), { maxLength: 4 }).map((value): Field => ({ type: 'A', value })),
  ),
  table: fc
    .uniqueArray(fc.tuple(name, tie('field')), { maxLength: 6, selector: ([key]) => key })
    .map((entries) => new Map(entries)),
}));

describe('what amqplib can read', () => {
  test('is not changed by a byte', () => {
    fc.assert(
      fc.property(table, (headers) => {
        const before = header(1, encoded(headers));
        const after = Buffer.from(before);
        makeReadable(after);
        expect(after.equals(before)).toBe(true);
      }),
    );
  });
});

test.each([200, 5_000, 18_000])(
  'tables nested %i deep are bytes from the limit on, and the fields around them stay',
  (depth) => {
    const content = header(
      1,
      Buffer.concat([textField('before', 'a'), nestedTable('deep', depth), textField('after', 'b')]),
      true,
    );
    makeReadable(content);
    let level = decoded(content);
    expect([...level.keys()]).toEqual(['before', 'deep', 'after']);
    let levels = 1;
    for (let field = level.get('deep'); field?.type === 'F'; field = level.get('deep')) {
      level = field.value;
      levels += 1;
    }
    expect(levels).toBe(MAX_HEADER_DEPTH);
    expect(level.get('deep')?.type).toBe('x');
  },
);

test('an unsigned 64-bit integer, in a table, a list or the headers themselves, is a signed one of the same bits', () => {
  const of = (type: 'L' | 'l', value: bigint): FieldTable => {
    const field: Field = { type, value };
    return new Map<string, Field>([
      ['L', field],
      ['in', { type: 'F', value: new Map([['L', field]]) }],
      ['list', { type: 'A', value: [field, { type: 'S', value: 'LLL' }] }],
    ]);
  };
  const content = header(1, encoded(of('L', 2n ** 63n + 5n)));
  makeReadable(content);
  expect(decoded(content)).toEqual(of('l', -(2n ** 63n) + 5n));
});

test('rubbish in place of a header is passed on for the reader to judge, within the bytes that came', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.nat(3), (bytes, depth) => {
      const content = Buffer.from(bytes);
      if (content.length > 13) content[12] = 0x20;
      makeReadable(content, depth + 1);
      expect(content.length).toBe(bytes.length);
    }),
  );
});
