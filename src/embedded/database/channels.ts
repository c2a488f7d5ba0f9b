/** `LISTEN name` and `UNLISTEN name | *` in a text of SQL. One inside a literal costs a notification too many. */
const LISTENS = /\b(UN)?LISTEN\s+(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(\*))/gi;

/** The channels that one session listens on: the backend has one list for all sessions. */
export class Channels {
  readonly #names = new Set<string>();

  get names(): Iterable<string> {
    return this.#names;
  }
  has(channel: string): boolean {
    return this.#names.has(channel);
  }

  /** Notes what a text of SQL listens to, and no longer listens to. */
  follow(sql: string): void {
    for (const [, un, quoted, plain, all] of sql.matchAll(LISTENS)) {
      const name = quoted?.replaceAll('""', '"') ?? plain?.toLowerCase();
      if (all !== undefined) this.#names.clear();
      else if (name !== undefined && un === undefined) this.#names.add(name);
      else if (name !== undefined) this.#names.delete(name);
    }
  }
}
