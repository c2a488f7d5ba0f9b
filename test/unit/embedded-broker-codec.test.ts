import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader } from '../../src/embedded/broker/byte-reader.ts';
import { ByteWriter } from '../../src/embedded/broker/byte-writer.ts';
import { withDeliveryCount } from '../../src/embedded/broker/delivery-count.ts';
import { type Field, readTable, writeTable } from '../../src/embedded/broker/field-table.ts';
import { longField, toWire } from '../../src/embedded/broker/fields.ts';
import { FRAME_END } from '../../src/embedded/broker/frame.ts';
import { FrameReader } from '../../src/embedded/broker/frame-reader.ts';
import { readMethod, writeMethod } from '../../src/embedded/broker/method-codec.ts';
import { METHODS, type MethodArguments, type MethodName } from '../../src/embedded/broker/method-table.ts';
import { type Properties, readProperties, writeProperties } from '../../src/embedded/broker/properties.ts';
import { ProtocolError } from '../../src/embedded/broker/protocol-error.ts';

const latin1 = (maxLength: number) =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const { field } = fc.letrec<{ field: Field; table: ReadonlyMap<string, Field> }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3 },
    latin1(20).map((value): Field => ({ type: 'S', value })),
    fc.integer({ min: -128, max: 127 }).map((value): Field => ({ type: 'b', value })),
    fc.nat(255).map((value): Field => ({ type: 'B', value })),
    fc.integer({ min: -32_768, max: 32_767 }).map((value): Field => ({ type: 's', value })),
    fc.nat(65_535).map((value): Field => ({ type: 'u', value })),
    fc.integer().map((value): Field => ({ type: 'I', value })),
    fc.nat().map((value): Field => ({ type: 'i', value })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value): Field => ({ type: 'l', value })),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value): Field => ({ type: 'T', value })),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value): Field => ({ type: 'L', value })),
    fc.double({ noNaN: true }).map((value): Field => ({ type: 'd', value })),
    fc.float({ noNaN: true }).map((value): Field => ({ type: 'f', value })),
    fc.tuple(fc.nat(255), fc.nat()).map(([scale, value]): Field => ({ type: 'D', scale, value })),
    fc.boolean().map((value): Field => ({ type: 't', value })),
    fc.uint8Array({ maxLength: 9 }).map((bytes): Field => ({ type: 'x', value: Buffer.from(bytes) })),
    fc.constant<Field>({ type: 'V', value: null }),
    tie('table').map((value): Field => ({ type: 'F', value })),
    fc.array(tie('field'), { maxLength: 3 }).map((value): Field => ({ type: 'A', value })),
  ),
  table: fc.array(fc.tuple(latin1(9), tie('field')), { maxLength: 4 }).map((entries) => new Map(entries)),
}));
const table = fc.array(fc.tuple(latin1(9), field), { maxLength: 5 }).map((entries) => new Map<string, Field>(entries));

const written = (write: (writer: ByteWriter) => void): Buffer => {
  const writer = new ByteWriter();
  write(writer);
  return writer.take();
};

const ARGUMENTS = {
  octet: fc.nat(255),
  short: fc.nat(65_535),
  long: fc.nat(),
  longlong: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  shortstr: fc.string({ unit: 'grapheme', maxLength: 20 }).map(toWire),
  longstr: latin1(400),
  bit: fc.boolean(),
  table,
} as const;

describe('the codec', () => {
  it.each(Object.keys(METHODS) as MethodName[])('reads %s as it was written', (name) => {
    const fields: Readonly<Record<string, keyof typeof ARGUMENTS>> = METHODS[name].fields;
    const args = fc.record(
      Object.fromEntries(Object.entries(fields).map(([key, type]) => [key, ARGUMENTS[type] as fc.Arbitrary<unknown>])),
    );
    fc.assert(
      fc.property(args, (given) => {
        const bytes = written((writer) => writeMethod(writer, name, given as unknown as MethodArguments<typeof name>));
        expect(readMethod(bytes)).toEqual({ name, args: { ...given } });
      }),
      { numRuns: 20 },
    );
  });

  it('keeps the type of every field of a table, so that it leaves as it came', () => {
    fc.assert(
      fc.property(table, (given) => {
        const bytes = written((writer) => writeTable(writer, given));
        const read = readTable(new ByteReader(bytes));
        expect(read).toEqual(given);
        expect(written((writer) => writeTable(writer, read)).equals(bytes)).toBe(true);
      }),
    );
  });

  const properties: fc.Arbitrary<Properties> = fc.record(
    {
      contentType: latin1(20),
      contentEncoding: latin1(20),
      headers: table,
      deliveryMode: fc.nat(255),
      priority: fc.nat(255),
      correlationId: latin1(20),
      replyTo: latin1(20),
      expiration: latin1(20),
      messageId: latin1(20),
      timestamp: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      type: latin1(20),
      userId: latin1(20),
      appId: latin1(20),
      clusterId: latin1(20),
    },
    { requiredKeys: [] },
  );

  it('reads properties as they were written', () => {
    fc.assert(fc.property(properties, (given) => void expect(readProperties(writeProperties(given))).toEqual(given)));
  });

  it('puts a delivery count into encoded properties and leaves all else', () => {
    fc.assert(
      fc.property(properties, fc.nat(), (given, count) => {
        const headers = new Map(given.headers).set('x-delivery-count', longField(count));
        const once = withDeliveryCount(writeProperties(given), count);
        expect(readProperties(once)).toEqual({ ...given, headers });
        expect(readProperties(withDeliveryCount(once, count))).toEqual({ ...given, headers });
      }),
    );
  });

  it('cuts frames from a stream, whatever chunks it comes in', () => {
    const frames = fc.array(fc.tuple(fc.nat(255), fc.nat(65_535), fc.uint8Array({ maxLength: 300 })), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(frames, fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }), (given, sizes) => {
        const stream = Buffer.concat(
          given.map(([type, channel, payload]) =>
            written((writer) => {
              writer.uint8(type);
              writer.uint16(channel);
              writer.uint32(payload.length);
              writer.bytes(Buffer.from(payload));
              writer.uint8(FRAME_END);
            }),
          ),
        );
        const reader = new FrameReader(4096);
        const got: [number, number, Uint8Array][] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length] ?? 1;
          reader.push(stream.subarray(at, at + size), (type, channel, payload) => {
            got.push([type, channel, Uint8Array.from(payload)]);
          });
          at += size;
        }
        expect(got).toEqual(given);
      }),
    );
  });

  it('answers a hundred thousand damaged payloads with a value or a protocol error, never otherwise', () => {
    const samples = fc.sample(fc.tuple(fc.constantFrom(...(Object.keys(METHODS) as MethodName[])), table, properties), {
      numRuns: 200,
      seed: 7,
    });
    const payloads = samples.flatMap(([name, headers, given]) => [
      written((writer) => {
        const { classId, methodId } = METHODS[name];
        writer.uint16(classId);
        writer.uint16(methodId);
        writeTable(writer, headers);
      }),
      writeProperties({ ...given, headers }),
    ]);
    let seed = 1;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    let refused = 0;
    for (let run = 0; run < 100_000; run++) {
      const bytes = Buffer.from(payloads[random(payloads.length)] ?? '');
      for (let change = random(4); change >= 0; change--) bytes[random(bytes.length)] = random(256);
      const damaged = random(3) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
      for (const read of [readMethod, readProperties]) {
        try {
          read(damaged);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          refused += 1;
        }
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  it('refuses a table nested deeper than the stack could follow', () => {
    let bytes = Buffer.from('\x01aV', 'latin1');
    for (let depth = 0; depth < 10_000; depth++) {
      const size = Buffer.alloc(4);
      size.writeUInt32BE(bytes.length);
      bytes = Buffer.concat([Buffer.from('\x01aF', 'latin1'), size, bytes]);
    }
    const size = Buffer.alloc(4);
    size.writeUInt32BE(bytes.length);
    expect(() => readTable(new ByteReader(Buffer.concat([size, bytes])))).toThrow(ProtocolError);
  });
});
