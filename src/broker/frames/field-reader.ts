import type { Headers, HeaderValue } from '../../message/message.ts';
import type { TextMemo } from './text-memo.ts';

/** Tables and lists within each other; whatever is deeper comes as bytes. */
export const MAX_HEADER_DEPTH = 100;

/** The rest of a frame that cannot be what it says it is; the connection ends, as §4.2.3 has it. */
export class UnreadableFrameError extends Error {}

/** Reads AMQP's primitive types and field tables (§4.2.5) out of one frame. */
export class FieldReader {
  readonly #bytes: Buffer;
  readonly #memo: TextMemo;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, at: number, end: number, memo: TextMemo) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    this.#memo = memo;
  }

  uint8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  /** Exact up to 2^53. */
  uint64(): number {
    const at = this.#take(8);
    return this.#bytes.readUInt32BE(at) * 2 ** 32 + this.#bytes.readUInt32BE(at + 4);
  }

  shortText(): string {
    const length = this.uint8();
    const at = this.#take(length);
    return length === 0 ? '' : this.#bytes.toString('utf8', at, at + length);
  }

  /** For one that is likely to come again. */
  name(): string {
    const length = this.uint8();
    return this.#memo.read(this.#bytes, this.#take(length), length);
  }

  skipShortText(): void {
    this.#take(this.uint8());
  }

  /** Types that JavaScript has not become what amqplib makes of them, and writes back as they were. */
  table(depth = 1): Headers {
    const end = this.#nest();
    const table: { [name: string]: HeaderValue } = {};
    while (this.#at < end) {
      const name = this.name();
      const value = this.#value(depth);
      // By assignment it would become the prototype of the table, with headers that nobody sent.
      if (name !== '__proto__') table[name] = value;
    }
    return table;
  }

  #list(depth: number): HeaderValue[] {
    const end = this.#nest();
    const items: HeaderValue[] = [];
    while (this.#at < end) items.push(this.#value(depth));
    return items;
  }

  #value(depth: number): HeaderValue {
    const type = this.uint8();
    switch (type) {
      case 0x53: // S
        return this.#text();
      case 0x74: // t
        return this.uint8() !== 0;
      case 0x62: // b
        return this.#bytes.readInt8(this.#take(1));
      case 0x42: // B
        return this.uint8();
      case 0x73: // s
        return this.#bytes.readInt16BE(this.#take(2));
      case 0x75: // u
        return this.uint16();
      case 0x49: // I
        return this.#bytes.readInt32BE(this.#take(4));
      case 0x69: // i
        return this.uint32();
      case 0x6c: // l
      case 0x4c: // L, which RabbitMQ passes on; amqplib, which writes it back, knows the signed one only
        return Number(this.#bytes.readBigInt64BE(this.#take(8)));
      case 0x66: // f
        return this.#bytes.readFloatBE(this.#take(4));
      case 0x64: // d
        return this.#bytes.readDoubleBE(this.#take(8));
      case 0x54: // T
        return { '!': 'timestamp', value: Number(this.#bytes.readBigUInt64BE(this.#take(8))) };
      case 0x44: // D
        return { '!': 'decimal', value: { places: this.uint8(), digits: this.uint32() } };
      case 0x46: // F
        return depth < MAX_HEADER_DEPTH ? this.table(depth + 1) : this.#block();
      case 0x41: // A
        return depth < MAX_HEADER_DEPTH ? this.#list(depth + 1) : this.#block();
      case 0x78: // x
        return this.#block();
      case 0x56: // V
        return null;
      default:
        throw new UnreadableFrameError(`a header has a value of type ${type}, which AMQP does not know`);
    }
  }

  #text(): string {
    const length = this.uint32();
    const at = this.#take(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  #block(): Buffer {
    const length = this.uint32();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** @returns where the nest ends */
  #nest(): number {
    const length = this.uint32();
    if (length > this.#end - this.#at) throw new UnreadableFrameError('a table is longer than its frame');
    return this.#at + length;
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) throw new UnreadableFrameError('a frame ends within a value');
    this.#at = at + length;
    return at;
  }
}
