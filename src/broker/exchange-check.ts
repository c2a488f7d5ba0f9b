import { BUILT_IN_EXCHANGES, type DeclareMode, type ExchangeType } from '../message/topology.ts';
import { isError } from '../util/thrown.ts';
import { brokerText, REPLY, replyCode } from './amqp-error.ts';
import { withChannel } from './channels.ts';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';

export interface ExchangeCheckOptions {
  readonly mode: DeclareMode;
  /** Types of exchanges that we may have to declare; topic for those not named. */
  readonly types: Readonly<Record<string, ExchangeType>>;
  /**
   * So long an exchange that has gone is left to its consumers, who make it with their bindings: without them all that is
   * published is lost. Milliseconds; 0: it is made at once. It has a meaning with mode `create` only. @default 0
   */
  readonly restMs?: number;
}

/**
 * - `refused`: it is missing and may not, or cannot, be declared; `reason` is for the publish that asked, `retryAfterMs`
 *   how long it is left to its consumers yet
 * - `missing`: and not ours to declare
 */
export type ExchangeVerdict =
  | { readonly kind: 'exists' }
  | { readonly kind: 'missing' }
  | { readonly kind: 'refused'; readonly reason: string; readonly retryAfterMs?: number };

/**
 * Makes sure that an exchange exists before the first publish to it, since a publish to a missing one closes the
 * channel on all its neighbours. What it learns holds until the connection is lost or a 404 says otherwise.
 */
export class ExchangeCheck {
  readonly #connection: BrokerConnection;
  readonly #options: ExchangeCheckOptions;
  readonly #known = new Set<string>();
  /** Are there, which is all that matters for what is another's to make; they may rest, or never have been seen by us. */
  readonly #knownForeign = new Set<string>();
  /** Were there once, whatever the connection. */
  readonly #seen = new Set<string>();
  /** Have gone: until when they are left to their consumers, in monotonic ms. */
  readonly #resting = new Map<string, number>();
  readonly #underWay = new Map<string, Promise<ExchangeVerdict>>();

  constructor(connection: BrokerConnection, options: ExchangeCheckOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  get mode(): DeclareMode {
    return this.#options.mode;
  }

  /** @param isForeign as for `ensure` */
  isKnown(exchange: string, isForeign = false): boolean {
    if (this.#options.mode === 'none' || BUILT_IN_EXCHANGES.has(exchange)) return true;
    return this.#known.has(exchange) || (isForeign && this.#knownForeign.has(exchange));
  }

  /**
   * Those who ask at the same time share one check. Rejects when the connection is lost meanwhile.
   * @param isForeign whether it is another's to make
   */
  ensure(exchange: string, open: OpenConnection, isForeign = false): Promise<ExchangeVerdict> {
    const asked = `${isForeign} ${exchange}`;
    let check = this.#underWay.get(asked);
    if (!check) {
      check = this.#check(exchange, open, isForeign).finally(() => this.#underWay.delete(asked));
      this.#underWay.set(asked, check);
    }
    return check;
  }

  /** A publish was told that there is none. Whoever may have made it again meanwhile, its bindings have gone. */
  gone(exchange: string): void {
    const { mode, restMs = 0 } = this.#options;
    if (mode !== 'create' || restMs === 0 || !this.#seen.delete(exchange)) return;
    this.#resting.set(exchange, performance.now() + restMs);
  }

  forget(): void {
    this.#known.clear();
    this.#knownForeign.clear();
  }

  async #check(exchange: string, open: OpenConnection, isForeign: boolean): Promise<ExchangeVerdict> {
    if (!isForeign && this.#isResting(exchange)) return this.#left(exchange);
    const missing = await this.#attempt(open, (channel) => channel.checkExchange(exchange));
    // Without the right to look (403, from RabbitMQ 4.3) the publish itself will tell.
    if (missing && replyCode(missing) === REPLY.notFound) {
      if (isForeign) return { kind: 'missing' };
      if (this.#options.mode !== 'create') return { kind: 'refused', reason: brokerText(missing) };
      this.gone(exchange);
      if (this.#isResting(exchange)) return this.#left(exchange);
      const type = this.#options.types[exchange] ?? 'topic';
      const failure = await this.#attempt(open, (channel) => channel.assertExchange(exchange, type, { durable: true }));
      // 406: somebody declared it between the two questions, with another type; it exists.
      if (failure && replyCode(failure) !== REPLY.preconditionFailed) {
        return { kind: 'refused', reason: `the exchange is missing and cannot be declared: ${brokerText(failure)}` };
      }
    }
    const known = isForeign ? this.#knownForeign : this.#known;
    if (this.#connection.current?.epoch === open.epoch) known.add(exchange);
    if (!isForeign) this.#seen.add(exchange);
    return { kind: 'exists' };
  }

  #isResting(exchange: string): boolean {
    const untilMs = this.#resting.get(exchange);
    if (untilMs === undefined) return false;
    if (performance.now() < untilMs) return true;
    this.#resting.delete(exchange);
    return false;
  }

  #left(exchange: string): ExchangeVerdict {
    const { restMs } = this.#options;
    const reason = `the exchange was deleted; its consumers have ${restMs} ms to bind to it again`;
    const untilMs = this.#resting.get(exchange) ?? 0;
    return { kind: 'refused', reason, retryAfterMs: Math.max(0, untilMs - performance.now()) };
  }

  /** @returns the broker's refusal; throws everything else */
  async #attempt(open: OpenConnection, work: Parameters<typeof withChannel>[2]): Promise<Error | undefined> {
    try {
      await withChannel(this.#connection, open, work);
      return undefined;
    } catch (error) {
      if (isError(error) && replyCode(error) !== undefined) return error;
      throw error;
    }
  }
}
