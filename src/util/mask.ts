/**
 * What hides passwords in texts that others have written, among them handlers' errors with a whole message in them: each
 * sign is looked at a few times at the most, whatever it is. A pattern that tries again from every sign would stand for
 * minutes before a megabyte of `a.a.a.a`.
 */

const SCHEME_END = '://';
/** The sign before it. */
const SCHEME_SIGN = /[a-z0-9+.-]/i;
/** What ends a URL in a text. */
const URL_END = /[\s"]/g;
/** What ends the user's name, which itself may hold an `@` (`user@tenant`). */
const USER_END = /[\s:/"]/g;
/** A password may hold any sign when somebody forgot to percent-encode it; digits and a slash are a port and a path. */
const PORT = /\d{1,5}(?:\/|$)/y;

/** The name of a value in a query, also in a fragment. */
const QUERY_NAME = /[?&;#]([\w.-]*)=/g;
/** `access_token`, `api_key`, `client_secret`, `X-Amz-Signature`. */
const SECRET_NAME = /^sig$|(?:password|passwd|pwd|passphrase|token|secret|key|signature|credential)$/i;
/** Names are no longer. */
const MAX_NAME_CHARACTERS = 200;
const VALUE_END = /[&\s;"]/g;
/** Behind the quote around the URL, which is not the value's. */
const BEHIND_QUOTE = /$|[\s,.;:)\]}]/y;

/** Of a text that is one URL. */
const HEAD = /^[a-z][a-z0-9+.-]*:\/\//i;
const BEFORE_HOST = /^([^:]*:\/\/).*@/s;

const HIDDEN = '***';

/** Hides passwords in every URL of a text: `amqp://guest:***@host`. Safe on texts without any. */
export function maskUrl(text: string): string {
  return maskQueries(maskPasswords(text));
}

/**
 * The same for a text that is one URL, as settings have them: what ends a URL in other texts (a space, a quote) may be in
 * its password. Of what does not parse nobody knows where the password ends: all before the last `@` is hidden.
 */
export function maskWholeUrl(text: string): string {
  if (!HEAD.test(text)) return maskUrl(text);
  if (!URL.canParse(text)) return maskUrl(text.replace(BEFORE_HOST, `$1${HIDDEN}@`));
  const url = new URL(text);
  if (url.password === '' && url.search === '' && url.hash === '') return maskUrl(text);
  if (url.password !== '') url.password = HIDDEN;
  return maskUrl(url.href);
}

function maskPasswords(text: string): string {
  let masked = '';
  let done = 0;
  /** End of the URL that was looked at last, and the last `@` in it: others may be written into it. */
  let end = -1;
  let at = -1;
  for (let from = text.indexOf(SCHEME_END); from >= 0; from = text.indexOf(SCHEME_END, from)) {
    const host = from + SCHEME_END.length;
    const hasScheme = from > 0 && SCHEME_SIGN.test(text.charAt(from - 1));
    from = host;
    if (!hasScheme) continue;
    if (host > end) {
      end = indexOfMatch(URL_END, text, host);
      // In the URL alone: a look back from its end would go through all URLs before it.
      const inside = text.slice(host, end).lastIndexOf('@');
      at = inside < 0 ? -1 : host + inside;
    }
    const colon = at < host ? -1 : indexOfMatch(USER_END, text, host);
    if (colon < 0 || colon > at || text[colon] !== ':' || matchesAt(PORT, text, colon + 1)) continue;
    masked += `${text.slice(done, colon + 1)}${HIDDEN}`;
    done = at;
    from = at;
  }
  return masked + text.slice(done);
}

function maskQueries(text: string): string {
  let masked = '';
  let done = 0;
  QUERY_NAME.lastIndex = 0;
  for (let found = QUERY_NAME.exec(text); found; found = QUERY_NAME.exec(text)) {
    const name = found[1] ?? '';
    if (name.length > MAX_NAME_CHARACTERS || !SECRET_NAME.test(name)) {
      // What ends it may begin the next.
      QUERY_NAME.lastIndex = found.index + 1 + name.length;
      continue;
    }
    const value = found.index + found[0].length;
    masked += `${text.slice(done, value)}${HIDDEN}`;
    done = valueEnd(text, value);
    QUERY_NAME.lastIndex = done;
  }
  return masked + text.slice(done);
}

function valueEnd(text: string, from: number): number {
  for (let at = from; ; at += 1) {
    at = indexOfMatch(VALUE_END, text, at);
    if (text[at] !== '"' || matchesAt(BEHIND_QUOTE, text, at + 1)) return at;
  }
}

/** @returns the length of the text when there is none */
function indexOfMatch(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from;
  const found = pattern.exec(text);
  return found ? found.index : text.length;
}

function matchesAt(pattern: RegExp, text: string, at: number): boolean {
  pattern.lastIndex = at;
  return pattern.test(text);
}

/** The same for every text in a line of JSON, which stays JSON: a secret ends where its text does, and not before. */
export function maskJson(line: string): string {
  let masked = '';
  let done = 0;
  for (let from = line.indexOf('"'); from >= 0; from = line.indexOf('"', from)) {
    const end = textEnd(line, from + 1);
    if (end < 0) break;
    const text = line.slice(from, end);
    if (/:\/\/|[?&;#]/.test(text)) {
      const plain = JSON.parse(text) as string;
      const hidden = maskUrl(plain);
      if (hidden !== plain) {
        masked += line.slice(done, from) + JSON.stringify(hidden);
        done = end;
      }
    }
    from = end;
  }
  return masked + line.slice(done);
}

/** @returns behind the quote that ends it; -1 when it does not end */
function textEnd(line: string, from: number): number {
  for (let quote = line.indexOf('"', from); quote >= 0; quote = line.indexOf('"', quote + 1)) {
    let backslashes = 0;
    while (line[quote - 1 - backslashes] === '\\' && quote - 1 - backslashes >= from) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
  }
  return -1;
}
