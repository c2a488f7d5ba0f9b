import { message } from './backend-messages.ts';
import { BLANK, NAME } from './sql-text.ts';

const PREPARES = new RegExp(`(?:^|;)${BLANK}*PREPARE${BLANK}+(?!TRANSACTION\\b)(${NAME})`, 'gi');
const HOLDS = new RegExp(`(?:^|;)${BLANK}*DECLARE${BLANK}+(${NAME})[^;]*?\\bWITH${BLANK}+HOLD\\b`, 'gi');
const IS_TEMPORARY = /\b(?:TEMP|TEMPORARY|PG_TEMP)\b/i;

/**
 * What a session makes by SQL that ends with it on a server, where its backend does: prepared statements, cursors that
 * are held, temporary tables. The one backend goes on.
 */
export class SessionLeftovers {
  readonly #clearing = new Set<string>();

  /** Whether it may have made what this statement clears away. */
  has(clearing: string): boolean {
    return this.#clearing.has(clearing);
  }

  /** Notes what a text of SQL makes. One word too many costs a statement in the end that clears nothing. */
  follow(sql: string): void {
    for (const [, name] of sql.matchAll(PREPARES)) this.#clearing.add(`DEALLOCATE ${asRead(name)}`);
    for (const [, name] of sql.matchAll(HOLDS)) this.#clearing.add(`CLOSE ${asRead(name)}`);
    if (IS_TEMPORARY.test(sql)) this.#clearing.add('DISCARD TEMP');
  }

  /** Clears away what no other session may have made. What is no longer there fails by itself. */
  farewell(isElsewhere: (clearing: string) => boolean): Buffer {
    const mine = [...this.#clearing].filter((clearing) => !isElsewhere(clearing));
    return Buffer.concat(mine.map((clearing) => message('Q', clearing)));
  }
}

const asRead = (name = ''): string => (name.startsWith('"') ? name : name.toLowerCase());
