/** All that stands before a path, a query or a fragment; a parser passes over tabs and line ends. */
const BEFORE_PATH = /^[^/\\?#]*[/\\\t\n\r]*[^/\\?#]*/;
/** A host has 253 signs at most (RFC 1035 §2.3.4), some of which may be written as nine. */
const LONGEST_BEFORE_PATH = 1_024;

/**
 * A URL of a text that a stranger wrote; undefined when it is none. One whose host is longer than hosts are is none: how
 * long it takes to encode (RFC 3492) grows with the square of its length.
 */
export function parseUrl(text: string): URL | undefined {
  const { length } = BEFORE_PATH.exec(text)?.[0] ?? '';
  return length <= LONGEST_BEFORE_PATH && URL.canParse(text) ? new URL(text) : undefined;
}
