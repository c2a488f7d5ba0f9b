import { assertSchemaName } from '../database/identifier.ts';
import type { CommitSink } from '../database/transaction-scope.ts';
import type { Transactions } from '../database/transactions.ts';
import { InvalidArgumentError } from '../errors.ts';
import type { Publisher } from '../message/publisher.ts';
import type { Scheduler } from '../message/schedule.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { assertKnownNames, assertObject, kindOf } from '../util/assert-object.ts';
import { DEFAULT_JSON_LIMITS, type JsonLimits } from '../wire/json.ts';
import { formatTime } from '../wire/time.ts';
import { type AggregateEvent, assertNotFuture, destinationOf, eventRow } from './event-row.ts';
import { messageRow, type NewRow } from './outbox-row.ts';
import { cancelFuture } from './sql/cancel-future.ts';
import { enqueue } from './sql/enqueue.ts';
import { insertFuture } from './sql/insert-future.ts';
import { inChosenTransaction, type Target, type TransactionOption } from './transaction-choice.ts';
import { assertName, encodeTags, type Tags } from './validate.ts';

export interface OutboxOptions {
  readonly transactions: Transactions;
  /** AMQP `app_id` of what is published. */
  readonly appId: string;
  /** Where our tables are. @default 'public' */
  readonly schema?: string;
  /** Of bodies: what receivers with the same settings would refuse is refused. @default DEFAULT_JSON_LIMITS */
  readonly limits?: JsonLimits;
  /** @default spans for the OpenTelemetry of the process */
  readonly telemetry?: Telemetry | undefined;
  /** Awaited before a transaction of its own is opened (`'own'`). @default nothing */
  readonly ready?: () => Promise<void>;
}

export interface PublishedEvent {
  /** UUIDv7; also the AMQP `message_id`. */
  readonly eventId: string;
}

export interface FutureAggregateEvent<Payload = unknown> extends AggregateEvent<Payload> {
  /** When it is to be published; also the `eventTime` in it. A time in the past is due at once. */
  readonly eventTime: Date;
  /** What it can be cancelled by. @default {} */
  readonly tags?: Tags;
}

export interface FutureEventFilter {
  readonly aggregate: string;
  readonly eventType: string;
  /** Cancels those that have all of these tags with these values; `{}` cancels all of the type. */
  readonly tags: Tags;
}

/**
 * Publishes with the caller's transaction: what is written here is sent if and only if that commits.
 * In `transactions.run()` and in handlers events are kept and written by one statement just before COMMIT; with a
 * handle of the caller's own they are written at once, and the locks of their keys stay until its commit.
 */
export class Outbox {
  readonly #transactions: Transactions;
  readonly #appId: string;
  readonly #schema: string;
  readonly #limits: JsonLimits;
  readonly #telemetry: Telemetry;
  readonly #ready: () => Promise<void>;
  readonly #sink: CommitSink<NewRow>;

  constructor(options: OutboxOptions) {
    const { transactions, appId, schema = 'public', limits = DEFAULT_JSON_LIMITS, telemetry, ready } = options;
    assertSchemaName(schema);
    assertName('appId', appId);
    this.#transactions = transactions;
    this.#appId = appId;
    this.#schema = schema;
    this.#limits = limits;
    this.#telemetry = telemetry ?? new Telemetry();
    this.#ready = ready ?? (() => Promise.resolve());
    this.#sink = { flush: (executor, rows) => enqueue(executor, schema, rows) };
  }

  /**
   * @example
   * await transaction(async (trx) => {
   *   await trx('orders').insert(order);
   *   await publishAggregateEvent({ aggregate: 'order', eventType: 'create.base', payload: order, key: order.id });
   * });
   * @throws TransactionRequiredError, NotATransactionError, TransactionFinishedError, UnserialisablePayloadError,
   *   InvalidNameError, InvalidArgumentError, MessageTooLargeError, MigrationRequiredError, DeadlockError
   */
  async publishAggregateEvent(event: AggregateEvent, options: TransactionOption = {}): Promise<PublishedEvent> {
    assertNotFuture(event);
    const row = this.#row(event, new Date());
    await this.#publish([row], chosen(options), 'publishAggregateEvent');
    return { eventId: row.messageId };
  }

  /** Several events in their order, all or none. Throws as `publishAggregateEvent` does, before any is written. */
  async publishAggregateEvents(
    events: readonly AggregateEvent[],
    options: TransactionOption = {},
  ): Promise<PublishedEvent[]> {
    if (!Array.isArray(events)) throw new InvalidArgumentError('events', 'an array of events', kindOf(events));
    const now = new Date();
    for (const event of events) assertNotFuture(event);
    const rows = events.map((event) => this.#row(event, now));
    await this.#publish(rows, chosen(options), 'publishAggregateEvents');
    return rows.map(({ messageId }) => ({ eventId: messageId }));
  }

  /**
   * An event that is published when its time comes, unless it is cancelled before. Throws as `publishAggregateEvent`
   * does, and InvalidArgumentError for an invalid time, a year of 9999 or later, or tags that are no JSON scalars.
   */
  async publishFutureAggregateEvent(
    event: FutureAggregateEvent,
    options: TransactionOption = {},
  ): Promise<PublishedEvent> {
    assertObject('event', event, 'an object with aggregate, eventType, payload and eventTime');
    const dueAt = validTime(event.eventTime);
    const tags = encodeTags(event.tags ?? {});
    const row = this.#row(event, dueAt);
    await this.#write(chosen(options), 'publishFutureAggregateEvent', (target) =>
      insertFuture(executorOf(target), this.#schema, row, dueAt, tags),
    );
    return { eventId: row.messageId };
  }

  /** @returns how many were cancelled; each future event is either cancelled or published, never both */
  async cancelFutureAggregateEvent(filter: FutureEventFilter, options: TransactionOption = {}): Promise<number> {
    assertObject('filter', filter, 'an object with aggregate, eventType and tags');
    assertKnownNames('filter', filter, ['aggregate', 'eventType', 'tags'] satisfies (keyof FutureEventFilter)[]);
    const { aggregate, eventType } = filter;
    assertName('aggregate', aggregate);
    assertName('eventType', eventType);
    const tags = encodeTags(filter.tags);
    return this.#write(chosen(options), 'cancelFutureAggregateEvent', (target) =>
      cancelFuture(executorOf(target), this.#schema, aggregate, eventType, tags),
    );
  }

  /**
   * The outbox as a Publisher for those who build their own messages: resolves when the row is in the transaction.
   * @param transaction as in `TransactionOption`
   * @param what names the caller in TransactionRequiredError
   * @param options.isRequired a message that reaches no queue stays and is tried again, whatever `outbox.unroutable` says
   */
  bind(transaction: unknown = 'ambient', what = 'publish', { isRequired = false } = {}): Publisher {
    // Not before the promise: what is wrong with the message is a rejection.
    const { bodyBytes } = this.#limits;
    return {
      publish: async (message) => this.#publish([messageRow(message, isRequired, bodyBytes)], transaction, what),
    };
  }

  /**
   * Keeps any message until a time. For copies of a message that is acked as soon as they are safe: each in a transaction
   * of its own, wherever the code runs. In one that is rolled back (somebody took the message inside it) the copy would
   * go, and the message is gone. For the same reason each is required: one whose queue is away when it is due stays.
   */
  scheduler(): Scheduler {
    return {
      schedule: async (message, at) => {
        const dueAt = validTime(at);
        const row = messageRow(message, true, this.#limits.bodyBytes);
        await inChosenTransaction(this.#transactions, 'own', 'schedule', (target) =>
          insertFuture(executorOf(target), this.#schema, row, dueAt, '{}'),
        );
      },
    };
  }

  #row(event: AggregateEvent, eventTime: Date): NewRow {
    return this.#telemetry.sending('create', destinationOf(event), (tell) => {
      const row = eventRow(event, eventTime, this.#appId, this.#limits);
      tell(row.messageId);
      return row;
    });
  }

  async #publish(rows: readonly NewRow[], choice: unknown, what: string): Promise<void> {
    await this.#write<unknown>(choice, what, (target) => {
      if (target.kind === 'handle') return enqueue(target.executor, this.#schema, rows);
      for (const row of rows) target.transaction.defer(this.#sink, row);
    });
  }

  /** Rows are made before: what becomes of an event while this waits does not travel. */
  async #write<T>(choice: unknown, what: string, write: (target: Target) => Promise<T> | T): Promise<T> {
    if (choice === 'own') await this.#ready();
    return inChosenTransaction(this.#transactions, choice, what, write);
  }
}

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
function chosen(options: TransactionOption): unknown {
  assertObject('options', options);
  assertKnownNames('options', options, ['transaction'] satisfies (keyof TransactionOption)[]);
  return options.transaction;
}

const executorOf = (target: Target) => (target.kind === 'handle' ? target.executor : target.transaction.executor);

function validTime(time: unknown): Date {
  if (!(time instanceof Date)) throw new InvalidArgumentError('eventTime', 'a Date', typeof time);
  formatTime(time, 'eventTime');
  return time;
}
