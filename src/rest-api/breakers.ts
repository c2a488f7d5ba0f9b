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

/**
 * What a request says of its host. `trouble`: that it is in trouble, rather than that it does not like this request;
 * `nothing`: its caller went away; `other`: it failed by what is ours, or by an answer that is not to be had.
 */
type Sign = 'well' | 'trouble' | 'nothing' | 'other';

const signOf = ({ statusCode }: Received): Sign => (statusCode >= 502 && statusCode <= 504 ? 'trouble' : 'well');

function signOfError(error: unknown): Sign {
  if (error instanceof RestApiConnectionError || error instanceof RestApiTimeoutError) return 'trouble';
  return error instanceof RestApiAbortedError ? 'nothing' : 'other';
}

/**
 *           failures in a row         openMs are over
 *   closed ─────────────────▶ open ──────────────────▶ trying, by one request
 *     ▲                        ▲                          │  │
 *     │                        └──────────────────────────┘  │
 *     │                             it failed                │
 *     └──────────────────────────────────────────────────────┘
 *                      the host is not in trouble
 */
class Breaker {
  readonly #options: ResolvedBreaker;
  readonly #tell: { opened(): void; closed(): void };
  #failures = 0;
  /** By the monotonic clock; undefined while it is closed. One that has passed stays until a request has seen the host. */
  #openUntilMs: number | undefined;
  #isTrying = false;

  constructor(options: ResolvedBreaker, tell: { opened(): void; closed(): void }) {
    this.#options = options;
    this.#tell = tell;
  }

  /** @returns undefined when the host is left alone; else what takes the sign that the request gave */
  admit(): ((sign: Sign) => void) | undefined {
    if (this.#openUntilMs === undefined) return (sign) => this.#seen(sign);
    // Others do not wait for the one that tries, however long that takes.
    if (this.#isTrying || performance.now() < this.#openUntilMs) return undefined;
    this.#isTrying = true;
    return (sign) => this.#tried(sign);
  }

  #seen(sign: Sign): void {
    // It was sent before others opened it.
    if (this.#openUntilMs !== undefined) return;
    if (sign === 'well') this.#failures = 0;
    if (sign !== 'trouble') return;
    this.#failures += 1;
    if (this.#failures >= this.#options.failures) this.#open();
  }

  #tried(sign: Sign): void {
    this.#isTrying = false;
    if (sign === 'trouble') this.#open();
    // Nothing was seen: the next one is to see.
    if (sign === 'trouble' || sign === 'nothing') return;
    this.#openUntilMs = undefined;
    this.#failures = 0;
    this.#tell.closed();
  }

  #open(): void {
    this.#openUntilMs = performance.now() + this.#options.openMs;
    this.#tell.opened();
  }
}

/**
 * Leaves a host alone after a number of failures in a row, so that neither it nor our callers wait for what does not
 * come. After a while one request is let through; if it succeeds, all are.
 */
export function breakers(next: Send, options: ResolvedBreaker, logger: Logger): Send {
  const { openMs } = options;
  const byOrigin = new Map<string, Breaker>();

  const breakerOf = (origin: string): Breaker => {
    let breaker = byOrigin.get(origin);
    if (breaker) return breaker;
    const [oldest] = byOrigin.keys();
    if (byOrigin.size >= MOST_ORIGINS && oldest !== undefined) byOrigin.delete(oldest);
    breaker = new Breaker(options, {
      opened: () => logger.warn({ origin, openMs }, 'host failed again and again and is left alone'),
      closed: () => logger.info({ origin }, 'host answers again'),
    });
    byOrigin.set(origin, breaker);
    return breaker;
  };

  return async function throughBreaker(request, call) {
    const { origin, url } = request.target;
    const ended = breakerOf(origin).admit();
    if (!ended) throw new RestApiCircuitOpenError({ method: request.method, url }, origin, openMs);
    let sign: Sign = 'other';
    try {
      const received = await next(request, call);
      sign = signOf(received);
      return received;
    } catch (error) {
      sign = signOfError(error);
      throw error;
    } finally {
      ended(sign);
    }
  };
}
