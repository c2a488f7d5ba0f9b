import { Confirms } from './confirms.ts';
import type { Publication } from './content-assembler.ts';
import type { Verdict } from './deliveries.ts';
import { REPLY_TO } from './direct-replies.ts';
import type { Exchange } from './exchange.ts';
import { Message } from './message.ts';
import { readProperties, writeProperties } from './properties.ts';
import { ProtocolError } from './protocol-error.ts';
import type { Unacked } from './unacked-messages.ts';
import { described, type PublishOutcome } from './virtual-host.ts';

/** RabbitMQ's default `max_message_size`. */
export const MAX_BODY_BYTES = 134_217_728;

/** What publishing needs of the channel. */
export interface PublishingHost {
  readonly user: string;
  /** Name for `reply_to`, when a reply consumer is there. */
  readonly replyName: string | undefined;
  findExchange(name: string): Exchange;
  route(exchange: Exchange, message: Message): PublishOutcome;
  returned(message: Message): void;
  confirmed(kind: 'basic.ack' | 'basic.nack', deliveryTag: number, isMultiple: boolean): void;
  /** Confirms wait to be sent: call `flush` when what was read together has been worked off. */
  flushLater(): void;
}

interface Prepared {
  readonly exchange: Exchange;
  readonly message: Message;
  readonly isMandatory: boolean;
}
interface Transaction {
  readonly publishes: Prepared[];
  readonly settlements: { readonly taken: readonly Unacked[]; readonly verdict: Verdict }[];
}
interface Committed extends Pick<Transaction, 'settlements'> {
  readonly isPartial: boolean;
}
type Mode =
  | { readonly kind: 'plain' }
  | { readonly kind: 'confirm'; readonly confirms: Confirms }
  | { readonly kind: 'tx'; transaction: Transaction };

const newTransaction = (): Transaction => ({ publishes: [], settlements: [] });

/** The publishing half of a channel: plain, with confirms, or transactional. */
export class Publishing {
  readonly #host: PublishingHost;
  #mode: Mode = { kind: 'plain' };

  constructor(host: PublishingHost) {
    this.#host = host;
  }

  /** @throws ProtocolError when RabbitMQ refuses such a publish */
  publish(publication: Publication): void {
    const prepared = this.#prepare(publication);
    if (this.#mode.kind === 'tx') this.#mode.transaction.publishes.push(prepared);
    else this.#route(prepared);
  }

  #prepare({ args, encodedProperties, body }: Publication): Prepared {
    if (args.immediate) throw new ProtocolError('NOT_IMPLEMENTED', 'immediate=true');
    if (body.length > MAX_BODY_BYTES) throw tooLarge(body.length);
    const exchange = this.#host.findExchange(args.exchange);
    if (exchange.definition.isInternal) {
      throw new ProtocolError('ACCESS_REFUSED', `cannot publish to internal ${described('exchange', exchange.name)}`);
    }
    const properties = readProperties(encodedProperties);
    let encoded = encodedProperties;
    if (properties.replyTo === REPLY_TO) {
      if (this.#host.replyName === undefined) {
        throw new ProtocolError('PRECONDITION_FAILED', 'fast reply consumer does not exist');
      }
      encoded = writeProperties({ ...properties, replyTo: this.#host.replyName });
    }
    if (properties.userId !== undefined && properties.userId !== this.#host.user) {
      throw new ProtocolError(
        'PRECONDITION_FAILED',
        `user_id property set to '${properties.userId}' but authenticated user was '${this.#host.user}'`,
      );
    }
    const known = encoded === encodedProperties ? properties : undefined;
    const message = new Message(args.exchange, args.routingKey, encoded, body, known);
    return { exchange, message, isMandatory: args.mandatory };
  }

  #route({ exchange, message, isMandatory }: Prepared): PublishOutcome {
    const outcome = this.#host.route(exchange, message);
    // The return goes before its own confirm, and after those of all that was published before it.
    if (outcome === 'unroutable' && isMandatory) {
      this.flush();
      this.#host.returned(message);
    }
    if (this.#mode.kind === 'confirm') {
      if (outcome === 'refused') this.#mode.confirms.nack();
      else this.#mode.confirms.ack();
      this.#host.flushLater();
    }
    return outcome;
  }

  /** Sends the confirms gathered so far. */
  flush(): void {
    if (this.#mode.kind === 'confirm') this.#mode.confirms.flush();
  }

  selectConfirm(): void {
    if (this.#mode.kind === 'tx') {
      throw new ProtocolError('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
    }
    if (this.#mode.kind === 'confirm') return;
    const confirms = new Confirms((kind, tag, isMultiple) => this.#host.confirmed(kind, tag, isMultiple));
    this.#mode = { kind: 'confirm', confirms };
  }

  selectTransaction(): void {
    if (this.#mode.kind === 'confirm') {
      throw new ProtocolError('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
    }
    if (this.#mode.kind === 'plain') this.#mode = { kind: 'tx', transaction: newTransaction() };
  }

  /** In a transaction, what is said of deliveries waits for the commit. @returns whether it does */
  postpone(taken: readonly Unacked[], verdict: Verdict): boolean {
    if (this.#mode.kind !== 'tx') return false;
    this.#mode.transaction.settlements.push({ taken, verdict });
    return true;
  }

  /**
   * Publishes what was held back.
   * @returns what was said of deliveries, for the channel to carry out, and whether a queue refused a message
   * @throws ProtocolError 406 outside a transaction
   */
  commit(): Committed {
    const { mode, transaction } = this.#transaction();
    const outcomes = transaction.publishes.map((prepared) => this.#route(prepared));
    // Not before: should one fail, the deliveries go back with the channel.
    mode.transaction = newTransaction();
    return { settlements: transaction.settlements, isPartial: outcomes.includes('refused') };
  }

  /** @returns the deliveries that are unsettled again */
  rollback(): readonly Unacked[] {
    const { mode, transaction } = this.#transaction();
    mode.transaction = newTransaction();
    return transaction.settlements.flatMap(({ taken }) => taken);
  }

  /** Deliveries settled in a transaction that is not committed. */
  get postponed(): readonly Unacked[] {
    return this.#mode.kind === 'tx' ? this.#mode.transaction.settlements.flatMap(({ taken }) => taken) : [];
  }

  /** Ends the transaction, if there is one: the channel goes. @returns the deliveries that are unsettled again */
  abandon(): readonly Unacked[] {
    return this.#mode.kind === 'tx' ? this.rollback() : [];
  }

  #transaction(): { readonly mode: Extract<Mode, { kind: 'tx' }>; readonly transaction: Transaction } {
    const mode = this.#mode;
    if (mode.kind !== 'tx') throw new ProtocolError('PRECONDITION_FAILED', 'channel is not transactional');
    return { mode, transaction: mode.transaction };
  }
}

export const tooLarge = (bytes: number): ProtocolError =>
  new ProtocolError(
    'PRECONDITION_FAILED',
    `message size ${bytes} is larger than configured max size ${MAX_BODY_BYTES}`,
  );
