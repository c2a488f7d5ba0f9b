import { KeyParkedError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Verdict } from '../message/handler.ts';
import type { HandlerLookup } from '../router/pipeline.ts';
import type { InFlight } from './in-flight.ts';
import type { ParkedKeys } from './parked-keys.ts';
import { RunContext } from './run-context.ts';
import type { Unhandled } from './unhandled.ts';

export interface RunnerOptions {
  readonly handlers: HandlerLookup;
  readonly unhandled: Unhandled;
  readonly parked: ParkedKeys;
  /** Whether the inbox will look at its key: not for what cannot be told from other messages. */
  readonly asksInbox: (message: InFlight) => boolean;
  readonly logger: Logger;
}

/** Takes a message to its verdict. */
export class Runner {
  readonly #options: RunnerOptions;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Never throws: what a handler throws is a verdict by then. */
  run(message: InFlight): Verdict | Promise<Verdict> {
    const { unhandled, logger } = this.#options;
    const routed = this.#route(message);
    // Before its key is asked: in the history of what no handler ever had, nothing may say that it waited for one.
    if (!routed) return unhandled.verdict(message);
    if (message.key !== undefined && this.#isParked(message, message.key)) {
      return { kind: 'dead', reason: 'parked', error: new KeyParkedError(message.key) };
    }
    const context = new RunContext(message, logger);
    message.context = context;
    return routed.handle(message, context);
  }

  /** Says whose it is, without running it. */
  identify(message: InFlight): void {
    this.#route(message);
  }

  #route(message: InFlight): ReturnType<HandlerLookup> {
    const routed = this.#options.handlers(message.exchange, message.routingKey);
    message.route = routed?.route;
    return routed;
  }

  /** Where the inbox is asked it is the inbox that knows, and can be told that the key is free again. */
  #isParked(message: InFlight, key: string): boolean {
    const { parked, asksInbox } = this.#options;
    return !message.isRedriven && parked.has(key) && !asksInbox(message);
  }
}
