import type { Alarm } from './alarm.ts';
import type { Binding } from './binding.ts';
import type { Consumer } from './consumer.ts';
import { ConsumerRota } from './consumer-rota.ts';
import type { Message } from './message.ts';
import type { DeathReason, QueueDefinition, QueueHost } from './queue-definition.ts';
import { isOverLimit, isSpent, timeToLive } from './queue-limits.ts';
import type { QueuedMessage } from './queued-message.ts';
import { ReadyMessages } from './ready-messages.ts';

/** Rough cost of a queued message beside its bytes. */
const ENTRY_BYTES = 300;
const costOf = ({ message }: QueuedMessage): number =>
  ENTRY_BYTES + message.body.length + message.encodedProperties.length;

/** Below every fresh message: quorum queues deliver what was given back first, in the order of its return. */
const FIRST_RETURN_POSITION = -(2 ** 52);

/** A queue: messages that wait, and the consumers that wait for them. What was delivered is its channel's to settle. */
export class Queue {
  readonly definition: QueueDefinition;
  readonly bindings = new Set<Binding>();
  readonly ready: ReadyMessages;
  readonly rota: ConsumerRota;
  readonly #host: QueueHost;
  readonly #messageExpiry: Alarm;
  readonly #idle: Alarm;
  #nextPosition = 0;
  #nextReturn = FIRST_RETURN_POSITION;
  /** Whether any message with a time to live ever came: most queues need not look. */
  #isExpiring: boolean;
  #isDeleted = false;
  /** Delivered and not settled. */
  unacked = 0;

  constructor(definition: QueueDefinition, host: QueueHost) {
    this.definition = definition;
    this.#host = host;
    this.ready = new ReadyMessages(definition.settings.maxPriority);
    this.rota = new ConsumerRota(definition.settings.isSingleActiveConsumer);
    this.#isExpiring = definition.settings.ttlMs !== undefined;
    this.#messageExpiry = host.alarms.create(() => this.#settleExpiry());
    this.#idle = host.alarms.create(() => host.abandoned(this));
    this.used();
  }

  get name(): string {
    return this.definition.name;
  }
  get isQuorum(): boolean {
    return this.definition.settings.type === 'quorum';
  }
  get isDeleted(): boolean {
    return this.#isDeleted;
  }

  /** Starts `x-expires` anew: declared, read by `basic.get`, or a consumer came or went. */
  used(): void {
    const { expiresMs } = this.definition.settings;
    if (expiresMs === undefined) return;
    this.#idle.set(this.rota.size > 0 || this.#isDeleted ? undefined : this.#host.alarms.now() + expiresMs);
  }

  /** @returns false when the queue is full and refuses */
  push(message: Message): boolean {
    const { overflow } = this.definition.settings;
    // A quorum queue notices that it is full only after it has taken one too many.
    if (
      overflow !== 'drop-head' &&
      isOverLimit(this.definition.settings, this.ready, this.isQuorum ? undefined : message)
    ) {
      if (overflow === 'reject-publish-dlx') this.#host.deadLetter(this, message, 'maxlen');
      return false;
    }
    const position = this.#nextPosition++;
    const entry: QueuedMessage = {
      message,
      id: position,
      position,
      expiresAt: this.#expiryOf(message),
      isRedelivered: false,
      returns: 0,
    };
    this.#host.came(this, entry, costOf(entry));
    // A consumer that waits gets it even when it is expired on arrival (TTL 0), as in RabbitMQ.
    const consumer = this.ready.length === 0 ? this.rota.next() : undefined;
    if (consumer) {
      this.#deliver(consumer, entry);
      return true;
    }
    this.ready.push(entry);
    if (this.#isExpiring) this.#settleExpiry();
    this.#dropOverflow();
    return true;
  }

  /** Puts a message that was kept back, behind those that are there. */
  restore({ message, expiresAt, isRedelivered, returns }: Omit<QueuedMessage, 'id' | 'position'>): void {
    const position = this.#nextPosition++;
    const placed = { message, id: position, position, expiresAt, isRedelivered, returns };
    this.#isExpiring ||= expiresAt !== undefined;
    this.#host.came(this, placed, costOf(placed));
    this.ready.push(placed);
    if (this.#isExpiring) this.#armExpiry();
  }

  #expiryOf(message: Message): number | undefined {
    const ttlMs = timeToLive(this.definition.settings, message);
    if (ttlMs === undefined) return undefined;
    this.#isExpiring = true;
    return this.#host.alarms.now() + ttlMs;
  }

  #dropOverflow(): void {
    if (this.definition.settings.overflow !== 'drop-head') return;
    while (isOverLimit(this.definition.settings, this.ready)) {
      const entry = this.ready.shift();
      if (!entry) return;
      this.#bury(entry, 'maxlen');
    }
  }

  #settleExpiry(): void {
    const now = this.#host.alarms.now();
    for (let entry = this.ready.shiftExpired(now); entry; entry = this.ready.shiftExpired(now)) {
      this.#bury(entry, 'expired');
    }
    this.#armExpiry();
  }

  #armExpiry(): void {
    this.#messageExpiry.set(this.#isDeleted ? undefined : this.ready.nextExpiry());
  }

  /** The message leaves this queue for good, by way of the dead letters. */
  #bury(entry: QueuedMessage, reason: DeathReason): void {
    this.#host.left(this, entry, costOf(entry));
    this.#host.deadLetter(this, entry.message, reason);
  }

  // ------------------------------------------------------------------------------------------------- messages go

  /** Delivers as long as there are messages and consumers with room. */
  dispatch(): void {
    if (this.ready.length === 0 || this.rota.size === 0) return;
    if (this.#isExpiring) this.#settleExpiry();
    while (this.ready.length > 0) {
      const consumer = this.rota.next();
      if (!consumer) break;
      const entry = this.ready.shift();
      if (entry) this.#deliver(consumer, entry);
    }
    if (this.#isExpiring) this.#settleExpiry();
  }

  #deliver(consumer: Consumer, entry: QueuedMessage): void {
    this.unacked += 1;
    this.#host.delivered(this, entry);
    consumer.options.target.deliver(consumer, entry);
    if (consumer.options.isNoAck) this.settled(entry);
  }

  /** One message for `basic.get`; it counts as unacked until it is settled. */
  take(): QueuedMessage | undefined {
    this.used();
    if (this.#isExpiring) this.#settleExpiry();
    const entry = this.ready.shift();
    if (entry) {
      this.unacked += 1;
      this.#host.delivered(this, entry);
    }
    if (this.#isExpiring) this.#settleExpiry();
    return entry;
  }

  /** An unacked message is done with. */
  settled(entry: QueuedMessage): void {
    this.unacked -= 1;
    this.#host.left(this, entry, costOf(entry));
  }

  /** An unacked message was refused for good. */
  rejected(entry: QueuedMessage): void {
    this.settled(entry);
    if (!this.#isDeleted) this.#host.deadLetter(this, entry.message, 'rejected');
  }

  /**
   * An unacked message goes back to its place. Does not dispatch: the caller may have more to give back.
   * @param isAsked the client said so, its channel was not lost: a quorum queue without delivery limit then puts the
   *   message at its end, so that one that always comes back does not hold up the others
   */
  giveBack(entry: QueuedMessage, isAsked: boolean): void {
    if (this.#isDeleted) {
      this.settled(entry);
      return;
    }
    entry.isRedelivered = true;
    entry.returns += 1;
    this.unacked -= 1;
    if (isSpent(this.definition.settings, entry.returns)) {
      this.#bury(entry, 'delivery_limit');
      return;
    }
    const limit = this.definition.settings.deliveryLimit;
    if (!this.isQuorum) this.ready.putBack(entry);
    else if (limit === undefined && isAsked) this.ready.push({ ...entry, position: this.#nextPosition++ });
    else this.ready.putBack({ ...entry, position: this.#nextReturn++ });
    this.#dropOverflow();
    if (this.#isExpiring) this.#settleExpiry();
  }

  /** Drops every ready message. @returns how many */
  purge(): number {
    if (this.#isExpiring) this.#settleExpiry();
    const count = this.ready.length;
    for (let entry = this.ready.shift(); entry; entry = this.ready.shift()) {
      this.#host.left(this, entry, costOf(entry));
    }
    this.#armExpiry();
    return count;
  }

  addConsumer(consumer: Consumer): void {
    this.rota.add(consumer);
    this.used();
    this.dispatch();
  }

  /** An auto-delete queue goes with its last consumer. */
  removeConsumer(consumer: Consumer): void {
    if (consumer.place === 'gone') return;
    this.rota.remove(consumer);
    this.used();
    if (this.#isDeleted) return;
    if (this.definition.isAutoDelete && this.rota.size === 0) this.#host.abandoned(this);
    else this.dispatch();
  }

  /** A consumer may have room again. */
  roomFor(consumer: Consumer): void {
    if (this.rota.unpark(consumer)) this.dispatch();
  }

  /** @returns how many ready messages went with it */
  delete(): number {
    const count = this.purge();
    this.#isDeleted = true;
    this.#messageExpiry.set(undefined);
    this.#idle.set(undefined);
    for (const consumer of [...this.rota.all]) {
      this.rota.remove(consumer);
      consumer.options.target.cancelled(consumer);
    }
    return count;
  }
}
