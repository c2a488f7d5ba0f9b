import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  type FailureReason,
  handleWhen,
  type IHalfOpenAfterBackoffContext,
} from 'cockatiel';
import {
  RestApiAbortedError,
  RestApiCircuitOpenError,
  RestApiConnectionError,
  RestApiTimeoutError,
} from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { ResolvedBreaker } from './options.ts';
import type { Received, Send } from './transport.ts';

/** Most origins that are watched; beyond it the one seen first is forgotten. */
const MOST_ORIGINS = 1000;

/** What says that the host is in trouble, rather than that it does not like this request. */
const isTrouble = ({ statusCode }: Received): boolean => statusCode >= 502 && statusCode <= 504;

const isGone = (error: unknown): boolean => error instanceof RestApiAbortedError;
/** The caller of the one request that was to see went away: nothing was seen. */
const sawNothing = (reason: FailureReason<unknown>): boolean => 'error' in reason && isGone(reason.error);

/** How long a host is left alone; not at all after a request that saw nothing: the next one is to see. */
const aloneFor = (openMs: number, duration = openMs) => ({
  duration,
  next: ({ result }: IHalfOpenAfterBackoffContext) => aloneFor(openMs, sawNothing(result) ? 0 : openMs),
});

/**
 * Leaves a host alone after a number of failures in a row, so that neither it nor our callers wait for what does not
 * come. After a while one request is let through; if it succeeds, all are.
 */
export function breakers(next: Send, { failures, openMs }: ResolvedBreaker, logger: Logger): Send {
  const byOrigin = new Map<string, CircuitBreakerPolicy>();

  const make = (origin: string): CircuitBreakerPolicy => {
    const policy: CircuitBreakerPolicy = circuitBreaker(
      handleWhen(
        (error) =>
          error instanceof RestApiConnectionError ||
          error instanceof RestApiTimeoutError ||
          // A caller who goes away says nothing of the host, also not that it is well again.
          (isGone(error) && policy.state === CircuitState.HalfOpen),
      ).orWhenResult((result) => isTrouble(result as Received)),
      { halfOpenAfter: aloneFor(openMs), breaker: new ConsecutiveBreaker(failures) },
    );
    policy.onBreak((reason) => {
      if (!('isolated' in reason) && sawNothing(reason)) return;
      logger.warn({ origin, openMs }, 'host failed again and again and is left alone');
    });
    policy.onReset(() => logger.info({ origin }, 'host answers again'));
    return policy;
  };

  const breakerOf = (origin: string): CircuitBreakerPolicy => {
    let policy = byOrigin.get(origin);
    if (policy) return policy;
    const [oldest] = byOrigin.keys();
    if (byOrigin.size >= MOST_ORIGINS && oldest !== undefined) byOrigin.delete(oldest);
    policy = make(origin);
    byOrigin.set(origin, policy);
    return policy;
  };

  return async function throughBreaker(request, call) {
    const { origin, url } = request.target;
    const policy = breakerOf(origin);
    const refuse = () => new RestApiCircuitOpenError({ method: request.method, url }, origin, openMs);
    // Cockatiel would let these wait for the one that tries, however long that takes.
    if (policy.state === CircuitState.HalfOpen) throw refuse();
    try {
      return await policy.execute(() => next(request, call));
    } catch (error) {
      throw error instanceof BrokenCircuitError ? refuse() : error;
    }
  };
}
