import { InvalidArgumentError } from '../errors.ts';
import { kindOf } from '../util/assert-object.ts';
import { maskUrl, maskWholeUrl } from '../util/mask.ts';

/** Where a request goes. Made by `BaseUrl.resolve` only, so that none lies outside of its base. */
export interface Target {
  /** `https://api.example.com`, as `URL.origin` gives it. */
  readonly origin: string;
  /** Path and query, as they are sent. */
  readonly path: string;
  /** For errors: without query. */
  readonly url: string;
}

/** Decodings of a path that proxies on the way may still do. */
const MOST_DECODINGS = 3;

/** Names of letters, digits and `_ ~ -`, dots between them, one slash between two: the parser would change nothing in it. */
const PLAIN_PATH = /^[\w~-]+(?:[./][\w~-]+)*$/;

/** The origin and base path that a caller's paths stay below. */
export class BaseUrl {
  readonly origin: string;
  readonly #basePath: string;

  /** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
  constructor(text: string, argument = 'host') {
    const url = typeof text === 'string' && URL.canParse(text) ? new URL(text) : undefined;
    const isFit = url && /^https?:$/.test(url.protocol) && url.hostname !== '' && !/[\\\s]/.test(text);
    if (!isFit || url.username || url.password || /[?#]/.test(text)) {
      const expected = 'an http:// or https:// URL without credentials, query and fragment';
      throw new InvalidArgumentError(argument, expected, show(maskWholeUrl(String(text))));
    }
    this.origin = url.origin;
    this.#basePath = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
  }

  /**
   * The URL of a path below the base. One slash in front of it changes nothing.
   * @param query encoded, without the question mark
   * @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for whatever could leave the base: an absolute URL, `//`,
   *   a backslash, dot segments however encoded and with whatever parameters, control characters
   */
  resolve(path: string, query = ''): Target {
    if (typeof path === 'string' && PLAIN_PATH.test(path)) {
      const pathname = this.#basePath + path;
      return {
        origin: this.origin,
        path: query === '' ? pathname : `${pathname}?${query}`,
        url: this.origin + pathname,
      };
    }
    const refusal = refusalOf(path);
    if (refusal) throw new InvalidArgumentError('path', `a path below ${this.origin}${this.#basePath}`, refusal(path));
    const relative = path.startsWith('/') ? path.slice(1) : path;
    const url = new URL(this.origin + this.#basePath + relative);
    // The parser has the last word: whatever it made of the text, it is below the base, or it is not sent.
    if (url.origin !== this.origin || !url.pathname.startsWith(this.#basePath) || url.username || url.password) {
      throw new InvalidArgumentError('path', `a path below ${this.origin}${this.#basePath}`, show(path));
    }
    const search = query === '' ? url.search : url.search === '' ? `?${query}` : `${url.search}&${query}`;
    return { origin: this.origin, path: url.pathname + search, url: this.origin + url.pathname };
  }
}

type Refusal = (path: string) => string;

function refusalOf(path: unknown): Refusal | undefined {
  if (typeof path !== 'string') return () => kindOf(path);
  if (hasControl(path)) return (text) => `control characters in ${show(text)}`;
  if (path.includes('\\')) return (text) => `a backslash in ${show(text)}`;
  if (path.includes('#')) return (text) => `a fragment in ${show(text)} (write %23 for a number sign)`;
  const [pathname = ''] = path.split('?', 1);
  if (/^[a-z][a-z0-9+.-]*:/i.test(path)) return (text) => `the absolute URL ${show(maskUrl(text))}`;
  if (pathname.startsWith('//')) return (text) => `another host, ${show(text)}`;
  if (pathname.startsWith('@') || pathname.startsWith('/@')) return (text) => `a user part in ${show(text)}`;
  if (hasDotSegment(pathname)) return (text) => `dot segments in ${show(text)}`;
  return undefined;
}

function hasDotSegment(pathname: string): boolean {
  let text = pathname;
  for (let i = 0; i <= MOST_DECODINGS; i++) {
    if (text.split(/[/\\]/).some(isDots)) return true;
    if (i > 0 && hasControl(text)) return true;
    if (!text.includes('%')) return false;
    const decoded = text.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number(`0x${hex}`)));
    if (decoded === text) return false;
    text = decoded;
  }
  return false;
}

/** Also with path parameters (RFC 3986 §3.3) behind them: Tomcat, Jetty and Spring take these out first. */
const isDots = (segment: string): boolean => /^\.{1,2}(?:;|$)/.test(segment);

const hasControl = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
};

const show = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
