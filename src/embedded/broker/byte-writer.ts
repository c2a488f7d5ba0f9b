const TWO_32 = 2 ** 32;
const SMALL_BYTES = 256;
/** Below this room a slab is given up when its content is taken: small replies then share one. */
const MIN_ROOM_BYTES = 1024;

/** Writes AMQP's primitive types one after the other into a block of bytes that grows as needed. */
export class ByteWriter {
  readonly #slabBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;
  #at = 0;

  /** @param slabBytes what is allocated at once; small for one short text, large for a stream */
  constructor(slabBytes = SMALL_BYTES) {
    this.#slabBytes = slabBytes;
  }

  /** Bytes written since the last `take`. */
  get length(): number {
    return this.#at - this.#start;
  }

  /** What was written since the last `take`. The bytes are never touched again. */
  take(): Buffer {
    const taken = this.#bytes.subarray(this.#start, this.#at);
    if (this.#bytes.length - this.#at < MIN_ROOM_BYTES) {
      this.#bytes = Buffer.alloc(0);
      this.#at = 0;
    }
    this.#start = this.#at;
    return taken;
  }

  #reserve(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) return this.#grow(length);
    this.#at = at + length;
    return at;
  }

  #grow(length: number): number {
    const written = this.length;
    const next = Buffer.allocUnsafe(Math.max(this.#slabBytes, (written + length) * 2));
    this.#bytes.copy(next, 0, this.#start, this.#at);
    this.#bytes = next;
    this.#start = 0;
    this.#at = written + length;
    return written;
  }

  uint8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }
  int8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes.writeInt8(value, at);
  }
  uint16(value: number): void {
    const at = this.#reserve(2);
    this.#bytes.writeUInt16BE(value, at);
  }
  int16(value: number): void {
    const at = this.#reserve(2);
    this.#bytes.writeInt16BE(value, at);
  }
  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#bytes.writeUInt32BE(value, at);
  }
  int32(value: number): void {
    const at = this.#reserve(4);
    this.#bytes.writeInt32BE(value, at);
  }
  uint64(value: number): void {
    const at = this.#reserve(8);
    this.#bytes.writeUInt32BE(Math.floor(value / TWO_32), at);
    this.#bytes.writeUInt32BE(value % TWO_32, at + 4);
  }
  bigInt64(value: bigint): void {
    const at = this.#reserve(8);
    this.#bytes.writeBigInt64BE(value, at);
  }
  bigUint64(value: bigint): void {
    const at = this.#reserve(8);
    this.#bytes.writeBigUInt64BE(value, at);
  }
  float(value: number): void {
    const at = this.#reserve(4);
    this.#bytes.writeFloatBE(value, at);
  }
  double(value: number): void {
    const at = this.#reserve(8);
    this.#bytes.writeDoubleBE(value, at);
  }
  shortString(value: string): void {
    const at = this.#reserve(1 + value.length);
    this.#bytes[at] = value.length;
    this.#bytes.write(value, at + 1, 'latin1');
  }
  longString(value: string): void {
    const at = this.#reserve(4 + value.length);
    this.#bytes.writeUInt32BE(value.length, at);
    this.#bytes.write(value, at + 4, 'latin1');
  }
  bytes(value: Buffer): void {
    const at = this.#reserve(value.length);
    value.copy(this.#bytes, at);
  }
  /** Leaves room for a four-byte length. @returns where its content starts, for `endSized` */
  beginSized(): number {
    this.#reserve(4);
    return this.length;
  }
  /** Fills in the length of what was written since `beginSized`. */
  endSized(from: number): void {
    this.patchSize(from, this.length - from);
  }
  /** Fills in the length of content that will not pass through this writer. */
  patchSize(from: number, size: number): void {
    this.#bytes.writeUInt32BE(size, this.#start + from - 4);
  }
}
