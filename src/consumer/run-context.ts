import { BoundLogger } from '../lifecycle/bound-logger.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { MessageContext } from '../message/handler.ts';
import type { Headers, MessageProperties } from '../message/message.ts';
import { currentTraceId } from '../util/trace-context.ts';
import type { InFlight } from './in-flight.ts';
import { messageFields } from './message-fields.ts';

const NO_HEADERS: Headers = Object.freeze({});

/**
 * `context` of one handler run. What most handlers never ask for is made when it is asked for. Deadline and transaction
 * come from layers inside, which hand on a context of their own.
 */
export class RunContext implements MessageContext {
  readonly attempt: number;
  readonly #message: InFlight;
  readonly #logger: Logger;
  #boundLogger: Logger | undefined;
  #abort: AbortController | undefined;
  #reason: Error | undefined;

  constructor(message: InFlight, logger: Logger) {
    this.#message = message;
    this.#logger = logger;
    this.attempt = message.attempt;
  }

  get messageId(): string | undefined {
    return this.#message.delivery.properties.messageId;
  }

  get exchange(): string {
    return this.#message.exchange;
  }

  get routingKey(): string {
    return this.#message.routingKey;
  }

  get key(): string | undefined {
    return this.#message.key;
  }

  get properties(): MessageProperties {
    return this.#message.delivery.properties;
  }

  get headers(): Headers {
    return this.properties.headers ?? NO_HEADERS;
  }

  get redelivered(): boolean {
    return this.#message.delivery.redelivered;
  }

  get correlationId(): string | undefined {
    return this.#message.delivery.properties.correlationId;
  }

  get rawBody(): Buffer {
    return this.#message.delivery.body;
  }

  get deadline(): Date | undefined {
    return undefined;
  }

  get transaction(): unknown {
    return undefined;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#reason) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  get logger(): Logger {
    if (this.#boundLogger) return this.#boundLogger;
    const traceId = currentTraceId();
    const fields = { ...messageFields(this.#message), attempt: this.attempt };
    this.#boundLogger = new BoundLogger(this.#logger, traceId === undefined ? fields : { ...fields, traceId });
    return this.#boundLogger;
  }

  /** The first reason stays. */
  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#abort?.abort(this.#reason);
  }
}
