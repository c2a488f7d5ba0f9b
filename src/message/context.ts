import type { Logger } from '../lifecycle/logger.ts';
import type { MessageContext } from './handler.ts';

/**
 * The same context with some members replaced. Contexts compute members when they are asked for, so a spread would miss
 * or force them; `changes` may have getters too.
 * @example next(incoming, deriveContext(context, { logger: context.logger.child({ tenant }) }));
 */
export const deriveContext = (context: MessageContext, changes: Partial<MessageContext>): MessageContext =>
  new DerivedContext(context, changes);

class DerivedContext implements MessageContext {
  readonly #base: MessageContext;
  readonly #changes: Partial<MessageContext>;

  constructor(base: MessageContext, changes: Partial<MessageContext>) {
    this.#base = base;
    this.#changes = changes;
  }

  #of<K extends keyof MessageContext>(name: K): MessageContext[K] {
    return (name in this.#changes ? this.#changes : this.#base)[name] as MessageContext[K];
  }

  get messageId(): string | undefined {
    return this.#of('messageId');
  }
  get exchange(): string {
    return this.#of('exchange');
  }
  get routingKey(): string {
    return this.#of('routingKey');
  }
  get key(): string | undefined {
    return this.#of('key');
  }
  get headers(): MessageContext['headers'] {
    return this.#of('headers');
  }
  get properties(): MessageContext['properties'] {
    return this.#of('properties');
  }
  get attempt(): number {
    return this.#of('attempt');
  }
  get redelivered(): boolean {
    return this.#of('redelivered');
  }
  get deadline(): Date | undefined {
    return this.#of('deadline');
  }
  get signal(): AbortSignal {
    return this.#of('signal');
  }
  get correlationId(): string | undefined {
    return this.#of('correlationId');
  }
  get transaction(): unknown {
    return this.#of('transaction');
  }
  get logger(): Logger {
    return this.#of('logger');
  }
  get rawBody(): Buffer {
    return this.#of('rawBody');
  }
}
