import type { Socket } from 'node:net';
import { NO_PROTOTYPE } from './plain-headers.ts';

/** Tables and lists within each other; whatever is deeper comes as bytes. */
export const MAX_HEADER_DEPTH = 100;

/** A content header frame (AMQP 0-9-1 §4.2.6): type, channel, size; the payload; frame-end. */
const FRAME_HEAD_BYTES = 7;
const CONTENT_HEADER = 2;
/** A level needs seven bytes or more: what is no longer than this cannot be too deep for anybody. */
const SHALLOW_BYTES = 7 * MAX_HEADER_DEPTH;

const TABLE = 0x46; // F
const LIST = 0x41; // A
const BYTES = 0x78; // x
const UNSIGNED = 0x4c; // L
const SIGNED = 0x6c; // l

const PROTOTYPE = Buffer.from('__proto__');

/** Bytes of a field value after its type, where that is fixed. Those of the others are told by the four bytes there. */
const FIXED_BYTES = new Map(
  Object.entries({ b: 1, B: 1, t: 1, s: 2, u: 2, I: 4, i: 4, f: 4, D: 5, d: 8, l: 8, L: 8, T: 8, V: 0 }).map(
    ([type, bytes]) => [type.charCodeAt(0), bytes],
  ),
);

/**
 * Lets amqplib see no headers that it cannot read: each of them would end the connection, and its message, delivered
 * again, the next one. They are made readable in place, by letters for others of the same form on the wire:
 * - Nesting. Its decoder is recursive; some thousand levels, which fit into one frame, overflow the stack. Tables and
 *   lists that are too deep become byte arrays.
 * - Unsigned 64-bit integers (`L`), which RabbitMQ takes and amqplib does not know, become signed ones.
 * - Fields called `__proto__` would become the prototype of the object that it makes of their table; of bytes they make an
 *   object that throws when another field is put into it. They get a name that `plainHeaders` takes out.
 */
export function keepHeadersReadable(socket: Socket): void {
  const read: (size?: number) => Buffer | null = socket.read.bind(socket);
  const frames = new FrameSight();
  socket.read = (size?: number): Buffer | null => {
    for (;;) {
      const chunk = read(size);
      if (chunk === null) return null;
      const seen = frames.pass(chunk);
      if (seen.length > 0) return seen;
    }
  };
}

/** Follows the frames of a stream, and holds back the beginning of one that has to be seen whole. */
export class FrameSight {
  #held: Buffer | undefined;
  /** Bytes of the current frame that are still to come. */
  #skip = 0;

  /** @returns what the reader may have now; it may be empty, and is `chunk` itself nearly always */
  pass(chunk: Buffer): Buffer {
    const bytes = this.#held ? Buffer.concat([this.#held, chunk]) : chunk;
    this.#held = undefined;
    let at = this.#skip;
    while (at < bytes.length) {
      const payload = at + FRAME_HEAD_BYTES;
      if (payload > bytes.length) return this.#hold(bytes, at);
      const size = bytes.readUInt32BE(at + 3);
      const end = payload + size + 1;
      if (bytes[at] === CONTENT_HEADER) {
        if (end > bytes.length) return this.#hold(bytes, at);
        makeReadable(bytes.subarray(payload, end - 1));
      }
      at = end;
    }
    this.#skip = at - bytes.length;
    return bytes;
  }

  #hold(bytes: Buffer, from: number): Buffer {
    this.#held = bytes.subarray(from);
    this.#skip = 0;
    return bytes.subarray(0, from);
  }
}

/** Of the properties only content-type and content-encoding stand before the headers. */
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;
/** Class, weight, body size. */
const FLAGS_AT = 12;

/** @param header payload of a content header frame; what else is wrong in it is left for the reader to say */
export function makeReadable(header: Buffer, maxDepth = MAX_HEADER_DEPTH): void {
  if (header.length < FLAGS_AT + 2) return;
  const flags = header.readUInt16BE(FLAGS_AT);
  if ((flags & HEADERS) === 0 || isReadable(header)) return;
  let at = FLAGS_AT + 2;
  if (flags & CONTENT_TYPE) at += 1 + (header[at] ?? 0);
  if (flags & CONTENT_ENCODING) at += 1 + (header[at] ?? 0);
  if (at + 4 > header.length) return;
  rename(header, { isTable: true, end: at + 4 + header.readUInt32BE(at) }, at + 4, maxDepth);
}

/** Nearly all are: nothing in them could be one of those. */
const isReadable = (header: Buffer): boolean =>
  header.length <= SHALLOW_BYTES && !header.includes(UNSIGNED) && !header.includes(PROTOTYPE);

interface Nest {
  readonly isTable: boolean;
  readonly end: number;
}

function rename(bytes: Buffer, outermost: Nest, start: number, maxDepth: number): void {
  const within = [outermost];
  let at = start;
  for (let nest = within.at(-1); nest && at < bytes.length; nest = within.at(-1)) {
    if (at >= nest.end) {
      within.pop();
      continue;
    }
    if (nest.isTable) {
      const name = bytes.subarray(at + 1, at + 1 + (bytes[at] ?? 0));
      if (name.equals(PROTOTYPE)) name.write(NO_PROTOTYPE, 'latin1');
      at += 1 + (bytes[at] ?? 0);
    }
    const type = bytes[at] ?? 0;
    const typeAt = at;
    at += 1;
    const fixed = FIXED_BYTES.get(type);
    if (fixed !== undefined) {
      if (type === UNSIGNED) bytes[typeAt] = SIGNED;
      at += fixed;
      continue;
    }
    if (at + 4 > bytes.length) return;
    const end = at + 4 + bytes.readUInt32BE(at);
    const isNest = type === TABLE || type === LIST;
    if (isNest && within.length < maxDepth) {
      within.push({ isTable: type === TABLE, end });
      at += 4;
    } else {
      if (isNest) bytes[typeAt] = BYTES;
      at = end;
    }
  }
}
