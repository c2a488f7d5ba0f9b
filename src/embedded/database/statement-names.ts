import { message } from './backend-messages.ts';
import { HEAD_BYTES, type WireMessage } from './message-splitter.ts';

let sessions = 0;

/**
 * Prepared statements of one session under names of its own: the backend has one table of names for all sessions, and
 * two clients of one library use the same names.
 */
export class StatementNames {
  readonly #prefix = `s${++sessions}.`;
  readonly #names = new Map<string, string>();
  /** What prepares those of the names that are prepared. */
  readonly #parses = new Map<string, Buffer>();
  #count = 0;

  /** The message with the backend's name in it, if it is one that names a statement. */
  translate({ type, bytes }: WireMessage): Buffer {
    if (type === 'P') return this.#replace(type, bytes, HEAD_BYTES);
    // The portal's name comes first.
    if (type === 'B') return this.#replace(type, bytes, bytes.indexOf(0, HEAD_BYTES) + 1);
    if ((type === 'D' || type === 'C') && bytes[HEAD_BYTES] === 0x53) {
      return this.#replace(type, bytes, HEAD_BYTES + 1);
    }
    return bytes;
  }

  get hasPrepared(): boolean {
    return this.#parses.size > 0;
  }

  /** Prepares all of them again: another session's `DEALLOCATE ALL` was the backend's. */
  again(): Buffer {
    return Buffer.concat([...this.#parses.values()].flatMap((parse) => [parse, message('S')]));
  }

  /** Its own `DEALLOCATE ALL`. */
  forget(): void {
    this.#names.clear();
    this.#parses.clear();
  }

  /** Closes all of them. */
  farewell(): Buffer {
    const closes = [...this.#names.values()].map((name) => message('C', Buffer.from('S'), name));
    return Buffer.concat([...closes, message('S')]);
  }

  #replace(type: string, bytes: Buffer, at: number): Buffer {
    const end = bytes.indexOf(0, at);
    if (end <= at) return bytes;
    const given = bytes.toString('latin1', at, end);
    const known = this.#names.get(given) ?? `${this.#prefix}${++this.#count}`;
    if (type === 'C') this.#names.delete(given);
    else this.#names.set(given, known);
    const translated = message(type, bytes.subarray(HEAD_BYTES, at), known, bytes.subarray(end + 1));
    if (type === 'C') this.#parses.delete(given);
    if (type === 'P') this.#parses.set(given, translated);
    return translated;
  }
}
