import { message } from './backend-messages.ts';
import { HEAD_BYTES, type WireMessage } from './message-splitter.ts';
import { BLANK, NAME } from './sql-text.ts';

/** A text of SQL that begins with a prepared statement's name. */
const NAMES_ONE = new RegExp(
  `^(${BLANK}*(?:EXECUTE|(DEALLOCATE)(?:${BLANK}+PREPARE)?)${BLANK}+)(?!ALL\\b)(${NAME})`,
  'i',
);

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

  /**
   * The message with the backend's name in its text, if that begins with `EXECUTE` or `DEALLOCATE` of one that this
   * session has prepared by messages.
   * @param start where its text begins
   */
  translateText({ type, bytes }: WireMessage, start: number): Buffer {
    if (!this.hasPrepared) return bytes;
    // A character for each byte, as names have it.
    const [found = '', before = '', deallocates, name = ''] = NAMES_ONE.exec(bytes.toString('latin1', start)) ?? [];
    const given = asRead(name);
    const known = this.#parses.has(given) ? this.#names.get(given) : undefined;
    if (known === undefined) return bytes;
    if (deallocates !== undefined) this.#drop(given);
    const text = Buffer.from(`${before}"${known}"`, 'latin1');
    return message(type, bytes.subarray(HEAD_BYTES, start), text, bytes.subarray(start + found.length));
  }

  #drop(given: string): void {
    this.#names.delete(given);
    this.#parses.delete(given);
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
    if (type === 'C') this.#drop(given);
    else this.#names.set(given, known);
    const translated = message(type, bytes.subarray(HEAD_BYTES, at), known, bytes.subarray(end + 1));
    if (type === 'P') this.#parses.set(given, translated);
    return translated;
  }
}

/** A name in a text of SQL as PostgreSQL reads it. */
function asRead(name: string): string {
  if (name.startsWith('"')) return name.slice(1, -1).replaceAll('""', '"');
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
