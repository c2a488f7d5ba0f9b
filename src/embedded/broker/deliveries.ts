import type { Consumer } from './consumer.ts';
import { ProtocolError } from './protocol-error.ts';
import type { Queue } from './queue.ts';
import type { QueuedMessage } from './queued-message.ts';
import { type Unacked, UnackedMessages } from './unacked-messages.ts';

export type Verdict = 'ack' | 'reject' | 'requeue';

/** What a channel has delivered and not settled yet, and how much more its prefetch allows. */
export class Deliveries {
  readonly unacked = new UnackedMessages();
  /** Of the whole channel (`basic.qos` with global), 0 none. */
  #limit = 0;
  /** Unacked messages of consumers: those of `basic.get` do not count against a prefetch. */
  #consumed = 0;
  #nextTag = 1;

  /** Whether the channel's own prefetch has room. */
  get hasRoom(): boolean {
    return this.#limit === 0 || this.#consumed < this.#limit;
  }
  get hasLimit(): boolean {
    return this.#limit > 0;
  }
  setLimit(limit: number): void {
    this.#limit = limit;
  }

  /** @returns the delivery tag */
  add(queue: Queue, entry: QueuedMessage, consumer: Consumer | undefined, isNoAck: boolean): number {
    const tag = this.nextTag();
    if (isNoAck) return tag;
    this.unacked.add({ tag, entry, queue, consumer });
    if (consumer) {
      consumer.unacked += 1;
      this.#consumed += 1;
    }
    return tag;
  }

  nextTag(): number {
    return this.#nextTag++;
  }

  /** @throws ProtocolError 406 for a tag that does not wait to be settled */
  take(tag: number, isMultiple: boolean): readonly Unacked[] {
    const taken = this.unacked.take(tag, isMultiple);
    if (!taken) throw new ProtocolError('PRECONDITION_FAILED', `unknown delivery tag ${tag}`);
    return taken;
  }

  /**
   * Carries out what the client said of deliveries that were taken.
   * @returns the consumers that may have room again; the caller lets them take more once all is settled
   */
  settle(taken: readonly Unacked[], verdict: Verdict): ReadonlySet<Consumer> {
    const relieved = new Set<Consumer>();
    const refilled = new Set<Queue>();
    for (const { entry, queue, consumer } of taken) {
      if (consumer) {
        consumer.unacked -= 1;
        this.#consumed -= 1;
        relieved.add(consumer);
      }
      if (verdict === 'ack') queue.settled(entry);
      else if (verdict === 'reject') queue.rejected(entry);
      else {
        queue.giveBack(entry, true);
        refilled.add(queue);
      }
    }
    for (const queue of refilled) queue.dispatch();
    return relieved;
  }

  /** Gives everything back without dispatching: the channel is going. @returns the queues that got something */
  giveBackAll(): ReadonlySet<Queue> {
    const refilled = new Set<Queue>();
    for (const { entry, queue } of this.unacked.takeAll()) {
      queue.giveBack(entry, false);
      refilled.add(queue);
    }
    this.#consumed = 0;
    return refilled;
  }
}
