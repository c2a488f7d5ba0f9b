import { message } from './backend-messages.ts';
import { ROLE } from './greeting.ts';
import { BLANK, NAME } from './sql-text.ts';

/** `SET name …` and `set_config('name', …)` in a text of SQL; not `UPDATE … SET`. */
const SETS = new RegExp(
  `(?:^|;)${BLANK}*SET${BLANK}+(?:SESSION${BLANK}+(?!AUTHORIZATION\\b|CHARACTERISTICS\\b))?(?:SESSION${BLANK}+)?` +
    `(${NAME}(?:\\.${NAME})*)|\\bset_config${BLANK}*\\(${BLANK}*E?'([^']+)'`,
  'gi',
);

/** A backend without a postmaster has no other to go back to: PostgreSQL's RESET of it does nothing. */
const AUTHORIZATION = 'SESSION AUTHORIZATION';

/** How PostgreSQL spells some, or what does not outlive its transaction. */
const SPELT: Readonly<Record<string, readonly string[]>> = Object.freeze({
  authorization: [AUTHORIZATION],
  characteristics: ['default_transaction_isolation', 'default_transaction_read_only', 'default_transaction_deferrable'],
  names: ['client_encoding'],
  schema: ['search_path'],
  time: ['TIME ZONE'],
  local: [],
  transaction: [],
  constraints: [],
});

/** What one session has set: the backend has one value for all sessions, which would outlive this one. */
export class SessionSettings {
  readonly #names = new Set<string>();

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Notes what a text of SQL sets. */
  follow(sql: string): void {
    for (const [, set, configured] of sql.matchAll(SETS)) {
      const name = (set ?? configured ?? '').toLowerCase();
      for (const each of SPELT[name] ?? [name]) this.#names.add(each);
    }
  }

  /** Gives back what no other session has set. A name that is none fails by itself. */
  farewell(isSetElsewhere: (name: string) => boolean): Buffer {
    const mine = [...this.#names].filter((name) => !isSetElsewhere(name));
    // Roles first: the others may be those of a superuser.
    const isRole = (name: string) => name === 'role' || name === AUTHORIZATION;
    const ordered = [...mine.filter(isRole), ...mine.filter((name) => !isRole(name))];
    return Buffer.concat(
      ordered.map((name) => message('Q', name === AUTHORIZATION ? `SET ${AUTHORIZATION} ${ROLE}` : `RESET ${name}`)),
    );
  }
}
