import { BLANK } from './sql-text.ts';

/**
 * By these PostgreSQL ends a connection that is idle. The one backend would end itself, without a word and without an
 * end: its whole process would stand still.
 */
const TIMEOUTS = ['idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout'] as const;

/** Where a text of SQL names a setting; a column may have the same name. */
const SETTING =
  `(?:^|;|\\bBEGIN\\b|\\bALTER\\b[^;]*?)${BLANK}*\\b(?:SET|RESET|SHOW)${BLANK}+(?:(?:SESSION|LOCAL)${BLANK}+)?"?` +
  `|\\b(?:set_config|current_setting)${BLANK}*\\(${BLANK}*E?'`;
const NAMED = new RegExp(`(?:${SETTING})(?=(?:${TIMEOUTS.join('|')})\\b)`, 'gi');

/** A setting that nothing reads, by a name as long as theirs. */
const inert = (name: string): string => name.replace('_', '.');

/** For the backend's start, so that they can be shown before they were set. */
export const INERT_TIMEOUTS = TIMEOUTS.flatMap((name) => ['-c', `${inert(name)}=0`]);

/**
 * A message of a client with these timeouts in it under names that set none: they may be set and shown, and nobody is
 * ended by them.
 * @param start where its text begins
 */
export function withoutTimeouts(bytes: Buffer, start: number): Buffer {
  // A character for each byte, so that places in the text are places in the message.
  const text = bytes.toString('latin1', start);
  if (!/_timeout/i.test(text)) return bytes;
  const found = [...text.matchAll(NAMED)];
  if (found.length === 0) return bytes;
  const changed = Buffer.from(bytes);
  for (const { index, 0: before } of found) changed.write('.', start + text.indexOf('_', index + before.length));
  return changed;
}
