/** A number of a JSON text, as it is written. */
export interface JsonNumber {
  readonly text: string;
  /** Its name, when it is a member of the outermost object. */
  readonly name: string | undefined;
}

/**
 * The numbers of a text that JSON.parse has taken, as they are written: it rounds them, and from Node 21 on only does it
 * tell what it has read.
 */
export function* jsonNumbers(text: string): Generator<JsonNumber> {
  let depth = 0;
  let name: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) {
      const start = at;
      at = endOfString(text, at);
      if (depth === 1) name = text.slice(start, at + 1);
    } else if (char === OPEN_OBJECT || char === OPEN_LIST) {
      // The members of a list have no names.
      depth += char === OPEN_LIST && depth === 0 ? 2 : 1;
    } else if (char === CLOSE_OBJECT || char === CLOSE_LIST) depth -= 1;
    else if (char === MINUS || isDigit(char)) {
      const end = endOfNumber(text, at);
      yield { text: text.slice(at, end), name: depth === 1 && name !== undefined ? JSON.parse(name) : undefined };
      at = end - 1;
    }
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const isDigit = (char: number): boolean => char >= 0x30 && char <= 0x39;
/** `+ - . E e` and digits. */
const isOfNumber = (char: number): boolean =>
  isDigit(char) || char === MINUS || char === 0x2b || char === 0x2e || char === 0x45 || char === 0x65;

/** @returns where its closing quote is */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length && text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at += 1;
  return at;
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && isOfNumber(text.charCodeAt(at))) at += 1;
  return at;
}
