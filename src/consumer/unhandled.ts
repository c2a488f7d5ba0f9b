import { UnhandledMessageError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Incoming, Verdict } from '../message/handler.ts';
import type { ConsumeOptions } from './options.ts';

/** Routing keys may hold ids, so there can be more routes than anyone wants warnings. */
const MAX_WARNINGS = 1_000;

/** What becomes of messages that no handler takes. */
export class Unhandled {
  readonly #policy: ConsumeOptions['unhandled'];
  readonly #logger: Logger;
  readonly #warned = new Set<string>();

  constructor(policy: ConsumeOptions['unhandled'], logger: Logger) {
    this.#policy = policy;
    this.#logger = logger;
  }

  /** Warns once for each route. */
  verdict({ exchange, routingKey }: Pick<Incoming, 'exchange' | 'routingKey'>): Verdict {
    const route = JSON.stringify([exchange, routingKey]);
    if (this.#warned.size < MAX_WARNINGS && !this.#warned.has(route)) {
      this.#warned.add(route);
      const fate = this.#policy === 'ack' ? 'dropped' : 'kept in the dead letters';
      const isLast = this.#warned.size === MAX_WARNINGS ? '; no further route is warned about' : '';
      this.#logger.warn(
        { exchange, routingKey },
        `no consumer takes this message: such are ${fate} (see \`svc-comm explain\`)${isLast}`,
      );
    }
    if (this.#policy === 'ack') return { kind: 'ack', outcome: 'unhandled' };
    return { kind: 'dead', reason: 'unhandled', error: new UnhandledMessageError(exchange, routingKey) };
  }
}
