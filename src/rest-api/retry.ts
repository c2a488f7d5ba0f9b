import { RestApiConnectionError } from '../errors.ts';
import { backoffMs } from '../util/backoff.ts';
import type { ResolvedRetry } from './options.ts';
import { isStream, type Outgoing, type Received, type Send } from './transport.ts';

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);
/** A server, or a proxy before it, that asks to come again. */
const TEMPORARY = new Set([429, 502, 503, 504]);
/** Of a wait that a server asked for, on top of it: those told the same do not come back together. */
const RETRY_AFTER_JITTER = 0.1;

/** Whether sending it twice does what sending it once does, and its body is there to be sent again. */
export function isRepeatable({ method, headers, body }: Outgoing): boolean {
  const isIdempotent = IDEMPOTENT.has(method) || 'idempotency-key' in headers;
  return isIdempotent && !isStream(body);
}

/**
 * Sends repeatable requests again when the connection failed or the server asked for it, waiting in between, as long as
 * the deadline leaves time for the wait. Others are sent once, whatever comes.
 */
export function retry(next: Send, options: ResolvedRetry): Send {
  return async function sendAgain(request, call) {
    const attempts = isRepeatable(request) ? options.attempts : 1;
    for (let attempt = 1; ; attempt++) {
      let received: Received | undefined;
      let failure: unknown;
      try {
        received = await next(request, call);
      } catch (error) {
        if (!(error instanceof RestApiConnectionError)) throw error;
        failure = error;
      }
      const isLast = attempt >= attempts || (received && !TEMPORARY.has(received.statusCode));
      const delayMs = isLast ? 0 : delayFor(received, attempt - 1, options);
      if (isLast || delayMs >= call.deadline.remainingMs) {
        if (received) return received;
        throw failure;
      }
      await call.deadline.wait(delayMs, { method: request.method, url: request.target.url });
    }
  };
}

function delayFor(received: Received | undefined, attempt: number, options: ResolvedRetry): number {
  const { 'retry-after': asked, date } = received?.headers ?? {};
  const askedMs = retryAfterMs(asked, httpDateMs(date)) ?? 0;
  return Math.max(backoffMs(attempt, options), askedMs * (1 + Math.random() * RETRY_AFTER_JITTER));
}

/**
 * In each of its three forms, RFC 9110 §5.6.7; the last one says no zone, and is GMT. Date.parse alone takes `1.5` for a
 * day in 2001.
 */
const HTTP_DATE = /^([A-Z][a-z]{2,8},? [\w :-]*\d)(?: GMT)?$/;

function httpDateMs(value: string | undefined): number | undefined {
  const [, date] = HTTP_DATE.exec(value?.trim() ?? '') ?? [];
  const at = Date.parse(`${date} GMT`);
  return Number.isNaN(at) ? undefined : at;
}

/**
 * Seconds or an HTTP date, RFC 9110 §10.2.3.
 * @param sentMs when the answer was sent, by the clock of whoever sent it: the date is by that one as well
 * @returns undefined for anything else
 */
export function retryAfterMs(value: string | undefined, sentMs = Date.now()): number | undefined {
  if (value !== undefined && /^\d+$/.test(value.trim())) return Number(value) * 1000;
  const atMs = httpDateMs(value);
  return atMs === undefined ? undefined : Math.max(0, atMs - sentMs);
}
