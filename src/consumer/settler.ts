import { createHash } from 'node:crypto';
import { CrashingMessageError } from '../errors.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { AckOutcome, DeadReason } from '../message/handler.ts';
import type { Inbox } from '../message/inbox.ts';
import { inboxKeyOf } from '../message/inbox-key.ts';
import { HEADER } from '../message/message.ts';
import type { Scheduler } from '../message/schedule.ts';
import { retryQueueName } from '../message/topology.ts';
import { deadCopy, retryCopy } from './copy.ts';
import { failureOf, hasHeldItsKey, hasRun, parseFailures } from './failures.ts';
import { type Forwarder, persist } from './forward.ts';
import type { InFlight } from './in-flight.ts';
import { messageFields } from './message-fields.ts';
import type { ConsumeOptions } from './options.ts';
import type { ParkedKeys } from './parked-keys.ts';
import { delayOf, planRetry } from './retry.ts';
import type { Counters } from './stats.ts';

export interface SettlerOptions {
  readonly forwarder: Forwarder;
  readonly inboxOf: (message: InFlight) => Inbox | undefined;
  readonly scheduler: Scheduler | undefined;
  readonly parked: ParkedKeys;
  readonly counters: Counters;
  readonly retry: ConsumeOptions['retry'];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Ends deliveries. Whatever it does, the ack comes last: if the process dies before, the broker delivers the message
 * again, and a second copy has the same message id, which the inbox knows.
 */
export class Settler {
  readonly #options: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** The broker forgets it. */
  ack(message: InFlight, outcome: AckOutcome): void {
    this.#end(message, OUTCOME_COUNTERS[outcome]);
    if (message.isRedriven) this.#letGo(message);
  }

  /** Given back to the queue, untouched. Whatever is under way about it is given up. */
  release(message: InFlight, reason: Error): void {
    if (!message.move('settled')) return;
    message.abandon(reason);
    const { counters } = this.#options;
    if (message.delivery.release()) counters.released += 1;
    else counters.lost += 1;
  }

  /** Its channel is about to be closed, and the queue gets it back then, in its place. */
  leaveToQueue(message: InFlight, reason: Error): void {
    if (!message.move('settled')) return;
    message.abandon(reason);
    this.#options.counters.released += 1;
  }

  /** Its channel is gone: the broker has it back already. */
  lose(message: InFlight, reason: Error): void {
    if (!message.move('settled')) return;
    message.abandon(reason);
    this.#options.counters.lost += 1;
  }

  /**
   * A failed run of a message without a key: a copy waits, or it has had its attempts. Resolves when it is settled, or
   * was taken from us meanwhile.
   * @param requestedMs what RetryLater asked for
   */
  async retry(message: InFlight, error: Error, requestedMs: number | undefined): Promise<void> {
    const { retry, scheduler, clock, forwarder } = this.#options;
    const plan = planRetry({ failedRuns: message.attempt, requestedMs }, retry);
    if (plan.kind === 'exhausted') {
      await this.deadLetter(message, 'attempts', error);
      return;
    }
    message.addFailure(failureOf(error, clock.now()));
    const { queue } = message.delivery;
    const isScheduled = plan.kind === 'schedule' && scheduler !== undefined;
    const how = isScheduled ? ', when its time has come and a publisher runs' : '';
    const delayMs = delayOf(plan, isScheduled, retry);
    this.#log('warn', message, { error, delayMs }, `handler failed; its message is tried again${how}`);
    let isSafe: boolean;
    if (isScheduled) {
      const copy = retryCopy(message, queue);
      const due = new Date(clock.now() + delayMs);
      isSafe = await forwarder.schedule(copy, due, scheduler, message.abandoned);
    } else {
      const copy = retryCopy(message, retryQueueName(queue, delayMs));
      isSafe = await forwarder.forward(copy, message.abandoned);
    }
    if (isSafe) this.#end(message, 'retried');
  }

  /**
   * A copy to the dead letters; then its key is parked where that is asked for, and it is marked as given up; then the
   * ack. What was redriven and is back holds its key as before, also when no handler takes it any more; what only waited
   * behind its key, and cannot be read, lets it go. Resolves when it is settled, or was taken from us meanwhile.
   * @returns whether it is there, and not in its queue any more
   */
  async deadLetter(message: InFlight, reason: DeadReason, error: Error): Promise<boolean> {
    const { retry, clock, forwarder, parked, counters } = this.#options;
    const { queue } = message.delivery;
    const ran = reason === 'attempts' || reason === 'rejected' || reason === 'crashed';
    const deaths = error instanceof CrashingMessageError ? error.deaths - 1 : 0;
    const failedRuns = (ran ? message.attempt : message.attempt - 1) + deaths;
    message.addFailure(failureOf(error, clock.now()));
    const copy = deadCopy(message, { reason, handler: message.route?.name, failedRuns });
    this.#log(
      reason === 'parked' ? 'warn' : 'error',
      message,
      { error, reason, queue },
      'message goes to the dead letters',
    );
    if (!(await forwarder.forward(copy, message.abandoned))) return false;
    const before = parseFailures(message.copyHeaders?.[HEADER.failures]);
    const holdsKey = ran || (reason === 'malformed' ? hasRun(before) : hasHeldItsKey(before));
    const orderKey = reason === 'parked' || (holdsKey && retry.keyed === 'park') ? message.key : undefined;
    if (orderKey !== undefined) parked.park(orderKey, letterOf(message), message.isRedriven);
    const isMarked = ran || reason === 'parked';
    if (!(await this.#remember(message, reason === 'parked' ? undefined : orderKey, isMarked))) return false;
    if (!this.#end(message, undefined)) return false;
    counters.deadLettered[reason] += 1;
    if (message.isRedriven && reason !== 'parked' && !holdsKey) this.#letGo(message);
    return true;
  }

  /** It is not in its key's way any more. */
  #letGo(message: InFlight): void {
    const { parked } = this.#options;
    if (message.key !== undefined && parked.has(message.key)) parked.settle(message.key, letterOf(message));
  }

  /** Parks before it marks: a copy that comes again after a crash in between finds its key parked, never its key open. */
  async #remember(message: InFlight, orderKey: string | undefined, isMarked: boolean): Promise<boolean> {
    const { logger, inboxOf } = this.#options;
    const inbox = inboxOf(message);
    const { queue } = message.delivery;
    const key = isMarked ? inboxKeyOf(message, message.route?.hasEventId ?? false) : undefined;
    if (!inbox || (orderKey === undefined && key === undefined)) return true;
    const mark = async () => {
      if (orderKey !== undefined) await inbox.parkKey(queue, orderKey);
      if (key) await inbox.markDead(key);
    };
    return persist(mark, { what: 'marking a dead letter', logger, signal: message.abandoned });
  }

  #end(message: InFlight, counter: SimpleCounter | undefined): boolean {
    if (!message.move('settled')) return false;
    const { counters } = this.#options;
    const isAcked = message.delivery.ack();
    if (!isAcked) counters.lost += 1;
    else if (counter !== undefined) counters[counter] += 1;
    return isAcked;
  }

  #log(level: 'warn' | 'error', message: InFlight, fields: object, text: string): void {
    this.#options.logger[level]({ ...fields, ...messageFields(message) }, text);
  }
}

/** What a message and its copies have in common: sender and message id, or else the body. */
function letterOf({ delivery: { properties, body } }: InFlight): string {
  const { appId = '', messageId } = properties;
  return messageId ? `${appId}/${messageId}` : createHash('sha256').update(body).digest('base64');
}

type SimpleCounter = Exclude<keyof Counters, 'deadLettered' | 'received' | 'rerunInPlace' | 'unanswered'>;

const OUTCOME_COUNTERS = Object.freeze({
  handled: 'handled',
  failed: 'failed',
  duplicate: 'duplicates',
  expired: 'expired',
  unhandled: 'unhandled',
} satisfies Record<AckOutcome, SimpleCounter>);
