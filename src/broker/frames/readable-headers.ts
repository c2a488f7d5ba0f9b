import { MAX_HEADER_DEPTH } from './field-reader.ts';
import { NO_PROTOTYPE } from './plain-headers.ts';
import { CONTENT_FLAGS_AT, FLAG } from './protocol.ts';

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
 *
 * @param header payload of a content header frame; what else is wrong in it is left for the reader to say
 */
export function makeReadable(header: Buffer, maxDepth = MAX_HEADER_DEPTH): void {
  if (header.length < CONTENT_FLAGS_AT + 2) return;
  const flags = header.readUInt16BE(CONTENT_FLAGS_AT);
  if ((flags & FLAG.headers) === 0 || isReadable(header)) return;
  let at = CONTENT_FLAGS_AT + 2;
  // Of the properties only these two stand before the headers.
  if (flags & FLAG.contentType) at += 1 + (header[at] ?? 0);
  if (flags & FLAG.contentEncoding) at += 1 + (header[at] ?? 0);
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
