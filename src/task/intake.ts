import type { Logger } from '../lifecycle/logger.ts';
import type { Delivery } from '../message/subscriber.ts';
import { ToldTasks } from './told-tasks.ts';

/** Something to claim: a message from the queue, or a row that was found. */
export interface Offer {
  readonly id: string;
  readonly delivery: Delivery | undefined;
  /** Whether it was told of by whoever submitted it: its message may be on its way as well. */
  readonly isTold?: boolean;
}

/** A message that waits here while other workers may be idle is given back after so long. */
const HOLD_MS = 1_000;
const MAX_BODY_BYTES = 1_000;
/** Of so many tasks it is known that their message has nothing to say. */
const MOST_BEGUN = 1_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What waits for a free place of the worker: in the order it came, and never for long. */
export class Intake {
  readonly #logger: Logger;
  readonly #offers: Offer[] = [];
  readonly #begun = new Set<string>();
  readonly #onOffer: () => void;
  readonly #told: ToldTasks;
  #isOpen = false;
  /** When the last message came, on the monotonic clock. */
  #receivedMs = 0;

  /**
   * @param onOffer called when there is something to take
   * @param isOurs whether of all workers that listen it is this one that goes for a task that was told of
   */
  constructor(logger: Logger, onOffer: () => void, isOurs: (id: string) => boolean) {
    this.#logger = logger;
    this.#onOffer = onOffer;
    this.#told = new ToldTasks({ isOurs, onReady: onOffer });
  }

  get size(): number {
    return this.#offers.length;
  }

  /** How long no message has come. */
  get quietMs(): number {
    return performance.now() - this.#receivedMs;
  }

  open(): void {
    this.#isOpen = true;
  }

  /** Gives back what waits, and whatever still comes. */
  close(): void {
    this.#isOpen = false;
    this.#told.clear();
    for (const { delivery } of this.#offers.splice(0)) delivery?.release();
  }

  receive(delivery: Delivery): void {
    this.#receivedMs = performance.now();
    const id = taskIdOf(delivery.body);
    if (id === undefined) {
      this.#logger.error({ queue: delivery.queue, bytes: delivery.body.length }, 'no message of a task; dropped');
      delivery.ack();
    } else if (this.#begun.delete(id)) delivery.ack();
    else if (!this.#isOpen) delivery.release();
    else this.#hold({ id, delivery });
  }

  /** Whether what was found still waits. */
  get hasFound(): boolean {
    return this.#offers.some(({ delivery }) => !delivery);
  }

  /** Rows that were found without a message: they have waited for longer than what came with one. */
  found(ids: readonly string[]): void {
    if (!this.#isOpen) return;
    const known = new Set(this.#offers.map(({ id }) => id));
    this.#offers.unshift(...ids.filter((id) => !known.has(id)).map((id) => ({ id, delivery: undefined })));
    this.#onOffer();
  }

  /** Tasks that have just been submitted. */
  told(ids: readonly string[]): void {
    if (this.#isOpen) this.#told.add(ids);
  }

  /** Somebody has begun it, or it has ended. */
  startedSomewhere(id: string): void {
    this.#told.remove(id);
  }

  /**
   * One that was told of runs here: the next message of it has nothing to say.
   * @param hasMessage whether there will be one: it was not taken back before it was sent
   */
  begun({ id, isTold }: Offer, hasMessage: boolean): void {
    if (!isTold || !hasMessage) return;
    this.#begun.add(id);
    for (const oldest of this.#begun) {
      if (this.#begun.size <= MOST_BEGUN) break;
      this.#begun.delete(oldest);
    }
  }

  /** It may run again: the next message of it may be the one that says so. */
  mayWait(id: string): void {
    this.#begun.delete(id);
  }

  take(): Offer | undefined {
    if (!this.#isOpen) return undefined;
    const offer = this.#offers.shift();
    if (offer) return offer;
    const id = this.#told.take();
    return id === undefined ? undefined : { id, delivery: undefined, isTold: true };
  }

  /** Others may be idle; and a message that is held for half an hour costs the channel. */
  #hold(offer: Offer): void {
    this.#told.remove(offer.id);
    this.#offers.push(offer);
    this.#onOffer();
    if (!this.#offers.includes(offer)) return;
    setTimeout(() => {
      const index = this.#offers.indexOf(offer);
      if (index < 0) return;
      this.#offers.splice(index, 1);
      offer.delivery?.release();
    }, HOLD_MS);
  }
}

function taskIdOf(body: Buffer): string | undefined {
  if (body.length > MAX_BODY_BYTES) return undefined;
  try {
    const message: unknown = JSON.parse(body.toString('utf8'));
    const id = typeof message === 'object' && message !== null && 'taskId' in message ? message.taskId : undefined;
    return typeof id === 'string' && UUID.test(id) ? id.toLowerCase() : undefined;
  } catch {
    return undefined;
  }
}
