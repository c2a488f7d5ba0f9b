import { UnhandledMessageError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Verdict } from '../message/handler.ts';
import type { InFlight } from './in-flight.ts';
import type { ConsumeOptions } from './options.ts';

/** Routing keys may hold ids, so there can be more routes than anyone wants warnings. */
const MAX_WARNINGS = 1_000;

type Unrouted = Pick<InFlight, 'exchange' | 'routingKey'> & Partial<Pick<InFlight, 'copyHeaders'>>;

/** What becomes of messages that no handler takes. */
export class Unhandled {
  readonly #policy: ConsumeOptions['unhandled'];
  readonly #logger: Logger;
  readonly #warned = new Set<string>();

  constructor(policy: ConsumeOptions['unhandled'], logger: Logger) {
    this.#policy = policy;
    this.#logger = logger;
  }

  /**
   * A copy of ours is kept, whatever is set: it was taken over from a handler, which the next version may have again.
   * Warns once for each route, and fate.
   */
  verdict({ exchange, routingKey, copyHeaders }: Unrouted): Verdict {
    const isKept = this.#policy === 'dead-letter' || copyHeaders !== undefined;
    const route = JSON.stringify([exchange, routingKey, isKept]);
    if (this.#warned.size < MAX_WARNINGS && !this.#warned.has(route)) {
      this.#warned.add(route);
      const fate = isKept ? 'kept in the dead letters' : 'dropped';
      const isLast = this.#warned.size === MAX_WARNINGS ? '; no further route is warned about' : '';
      this.#logger.warn(
        { exchange, routingKey },
        `no consumer takes this message: such are ${fate} (see \`svc-comm explain\`)${isLast}`,
      );
    }
    if (!isKept) return { kind: 'ack', outcome: 'unhandled' };
    return { kind: 'dead', reason: 'unhandled', error: new UnhandledMessageError(exchange, routingKey) };
  }
}
