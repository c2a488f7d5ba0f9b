import { message } from './backend-messages.ts';
import { BLANK, NAME } from './sql-text.ts';

const TABLE = String.raw`${NAME}(?:${BLANK}*\.${BLANK}*${NAME})*${BLANK}*(?:\([^()]*\))?`;
const COPY_IN = new RegExp(
  `^${BLANK}*COPY${BLANK}+(BINARY${BLANK}+)?${TABLE}${BLANK}*FROM${BLANK}+STDIN\\b([^;]*)`,
  'i',
);
const IS_BINARY = /\bFORMAT\s+["']?BINARY\b|^\s*(WITH\s+)?BINARY\b/i;

/**
 * The answer that makes a client send its rows, when a text of SQL begins with `COPY table FROM STDIN`; undefined when
 * it does not. The backend reads rows in one go with the statement, so that they must be here before it sees it.
 */
export function copyInAnswer(sql: string): Buffer | undefined {
  const found = COPY_IN.exec(sql);
  if (!found) return undefined;
  const isBinary = found[1] !== undefined || IS_BINARY.test(found[2] ?? '');
  // Without formats of columns: how many there are only the backend knows.
  return message('G', Buffer.from([Number(isBinary), 0, 0]));
}

/**
 * In every batch: a COPY FROM STDIN whose rows are not there fails by it, where the end of what can be read would end
 * the backend. Where no COPY waits for rows it is passed over.
 */
export const NO_ROWS = message(
  'f',
  'the embedded database takes COPY FROM STDIN as the first statement of a simple query only',
);
