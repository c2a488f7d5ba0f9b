import type { Headers, HeaderValue } from '../../message/message.ts';

/** What does not fit where it is to be written. */
export class FieldTooLargeError extends Error {
  /** Where there is room for less than for any message's. */
  readonly limitBytes: number | undefined;

  constructor(message: string, limitBytes?: number) {
    super(message);
    this.limitBytes = limitBytes;
  }
}

/** AMQP's limit for a short string (§4.2.5.3). */
const MAX_SHORT_BYTES = 255;
/** Up to here a loop over characters is quicker than the call into the engine. */
const LOOP_CHARACTERS = 40;
const MAX_UTF8_BYTES = 3;

const BYTE = 2 ** 7;
const SHORT = 2 ** 15;
const INT = 2 ** 31;
/** From here on a double has no room for a fraction, and up to 2^63 an integer of 64 bits has room for it. */
const WHOLE_ONLY = 2 ** 50;
const LONG = 2 ** 63;

const LAST_ASCII = 0x7f;

type NumberLetter = 'b' | 'B' | 's' | 'u' | 'I' | 'i' | 'l' | 'f' | 'd';

/** By amqplib's names. */
const NUMBERS: Readonly<Record<string, NumberLetter | undefined>> = Object.freeze({
  byte: 'b',
  int8: 'b',
  unsignedbyte: 'B',
  uint8: 'B',
  short: 's',
  int16: 's',
  unsignedshort: 'u',
  uint16: 'u',
  int: 'I',
  int32: 'I',
  unsignedint: 'i',
  uint32: 'i',
  long: 'l',
  int64: 'l',
  float: 'f',
  double: 'd',
  float64: 'd',
});

/** Values that name their own type, as amqplib has it: `{ '!': 'timestamp', value }`. */
interface Typed {
  readonly '!': string;
  readonly value: unknown;
}

/** Writes AMQP's primitive types and field tables (§4.2.5) into a block of bytes, one after the other. */
export class FieldWriter {
  readonly bytes: Buffer;
  at = 0;

  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
  }

  uint8(value: number): void {
    this.bytes[this.#reserve(1)] = value;
  }

  uint16(value: number): void {
    this.bytes.writeUInt16BE(value, this.#reserve(2));
  }

  uint32(value: number): void {
    this.bytes.writeUInt32BE(value, this.#reserve(4));
  }

  /** @param value whole, below 2^64 */
  uint64(value: number): void {
    const at = this.#reserve(8);
    this.bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
    this.bytes.writeUInt32BE(value % 2 ** 32, at + 4);
  }

  /** @throws TypeError for what is no text, or has more than 255 bytes */
  shortText(name: string, text: unknown): void {
    if (typeof text !== 'string') throw new TypeError(`${name} is ${typeof text}, and must be text`);
    const lengthAt = this.#reserve(1);
    const length = this.#utf8(text);
    if (length > MAX_SHORT_BYTES) {
      throw new TypeError(`${name} has ${length} bytes, and AMQP allows ${MAX_SHORT_BYTES}`);
    }
    this.bytes[lengthAt] = length;
  }

  /** Leaves room for a size of four bytes. @returns for `endSized` */
  beginSized(): number {
    return this.#reserve(4) + 4;
  }

  endSized(from: number): void {
    this.bytes.writeUInt32BE(this.at - from, from - 4);
  }

  table(table: Headers): void {
    const from = this.beginSized();
    for (const name of Object.keys(table)) {
      const value = table[name];
      if (value === undefined) continue;
      this.shortText('the name of a header', name);
      this.#value(value);
    }
    this.endSized(from);
  }

  #value(value: HeaderValue): void {
    switch (typeof value) {
      case 'string':
        this.#longText(value);
        break;
      case 'number':
        this.#number(letterFor(value), value);
        break;
      case 'boolean':
        this.uint8(0x74); // t
        this.uint8(value ? 1 : 0);
        break;
      case 'object':
        this.#object(value);
        break;
      default:
        throw new TypeError(`a header is a ${typeof value}, which AMQP cannot carry`);
    }
  }

  #object(value: object | null): void {
    if (value === null) {
      this.uint8(0x56); // V
    } else if (ArrayBuffer.isView(value)) {
      this.#block(value);
    } else if (Array.isArray(value)) {
      this.#list(value);
    } else if (Object.hasOwn(value, '!')) {
      this.#typed(value as Typed);
    } else {
      this.uint8(0x46); // F
      this.table(value as Headers);
    }
  }

  #list(items: readonly HeaderValue[]): void {
    this.uint8(0x41); // A
    const from = this.beginSized();
    for (const item of items) this.#value(item);
    this.endSized(from);
  }

  #longText(text: string): void {
    this.uint8(0x53); // S
    const from = this.beginSized();
    this.#utf8(text);
    this.endSized(from);
  }

  #block(view: ArrayBufferView): void {
    this.uint8(0x78); // x
    this.uint32(view.byteLength);
    const at = this.#reserve(view.byteLength);
    this.bytes.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at);
  }

  #typed({ '!': type, value }: Typed): void {
    const letter = NUMBERS[type];
    if (letter !== undefined) {
      this.#number(letter, value as number);
    } else if (type === 'timestamp') {
      this.uint8(0x54); // T
      this.bytes.writeBigUInt64BE(BigInt(value as number), this.#reserve(8));
    } else if (type === 'decimal') {
      const { places, digits } = value as { places: number; digits: number };
      if (!(places >= 0 && places < 2 ** 8)) throw new TypeError(`a decimal has ${places} places, of 255 at most`);
      this.uint8(0x44); // D
      this.uint8(places);
      this.uint32(digits);
    } else {
      throw new TypeError(`a header is of type "${type}", which AMQP does not know`);
    }
  }

  #number(letter: NumberLetter, value: number): void {
    this.uint8(letter.charCodeAt(0));
    switch (letter) {
      case 'b':
        this.bytes.writeInt8(value, this.#reserve(1));
        break;
      case 'B':
        this.bytes.writeUInt8(value, this.#reserve(1));
        break;
      case 's':
        this.bytes.writeInt16BE(value, this.#reserve(2));
        break;
      case 'u':
        this.uint16(value);
        break;
      case 'I':
        this.bytes.writeInt32BE(value, this.#reserve(4));
        break;
      case 'i':
        this.uint32(value);
        break;
      case 'l':
        this.bytes.writeBigInt64BE(BigInt(value), this.#reserve(8));
        break;
      case 'f':
        this.bytes.writeFloatBE(value, this.#reserve(4));
        break;
      case 'd':
        this.bytes.writeDoubleBE(value, this.#reserve(8));
        break;
      default:
        letter satisfies never;
    }
  }

  /** @returns bytes written */
  #utf8(text: string): number {
    const { bytes, at } = this;
    const room = bytes.length - at;
    if (text.length > room) throw new FieldTooLargeError('no room for a text');
    if (text.length <= LOOP_CHARACTERS) {
      let i = 0;
      for (; i < text.length; i++) {
        const code = text.charCodeAt(i);
        if (code > LAST_ASCII) break;
        bytes[at + i] = code;
      }
      if (i === text.length) {
        this.at = at + i;
        return i;
      }
    }
    if (text.length * MAX_UTF8_BYTES > room && Buffer.byteLength(text) > room) {
      throw new FieldTooLargeError('no room for a text');
    }
    const written = bytes.write(text, at);
    this.at = at + written;
    return written;
  }

  #reserve(length: number): number {
    const at = this.at;
    if (length > this.bytes.length - at) throw new FieldTooLargeError('no room for a value');
    this.at = at + length;
    return at;
  }
}

/** The smallest type that holds it; signed ones only: RabbitMQ has taken others for signed. */
function letterFor(value: number): NumberLetter {
  if (value >= LONG || value < -LONG) return 'd';
  if (Math.abs(value) < WHOLE_ONLY && Math.floor(value) !== value) return 'd';
  if (value >= -BYTE && value < BYTE) return 'b';
  if (value >= -SHORT && value < SHORT) return 's';
  return value >= -INT && value < INT ? 'I' : 'l';
}
