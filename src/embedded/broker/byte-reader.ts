import { ProtocolError } from './protocol-error.ts';

const TWO_32 = 2 ** 32;

/** Reads AMQP's primitive types from a block of bytes; past its end it is a syntax error (502). */
export class ByteReader {
  readonly #bytes: Buffer;
  #at: number;
  readonly #end: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  #take(length: number): number {
    const at = this.#at;
    if (length > this.#end - at) throw new ProtocolError('SYNTAX_ERROR', 'unexpected end of frame');
    this.#at = at + length;
    return at;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }
  int8(): number {
    return this.#bytes.readInt8(this.#take(1));
  }
  uint16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }
  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }
  uint32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }
  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }
  /** Exact up to 2^53: delivery tags and body sizes of this broker stay below. */
  uint64(): number {
    const at = this.#take(8);
    return this.#bytes.readUInt32BE(at) * TWO_32 + this.#bytes.readUInt32BE(at + 4);
  }
  bigInt64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }
  bigUint64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8));
  }
  float(): number {
    return this.#bytes.readFloatBE(this.#take(4));
  }
  double(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }
  /** At most 255 bytes, one character for each byte. */
  shortString(): string {
    const length = this.uint8();
    const at = this.#take(length);
    return length === 0 ? '' : this.#bytes.toString('latin1', at, at + length);
  }
  /** One character for each byte. */
  longString(): string {
    const length = this.uint32();
    const at = this.#take(length);
    return this.#bytes.toString('latin1', at, at + length);
  }
  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }
  /** A reader for the next `length` bytes, which this one skips. */
  block(length: number): ByteReader {
    const at = this.#take(length);
    return new ByteReader(this.#bytes, at, at + length);
  }
}
