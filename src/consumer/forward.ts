import { InvalidArgumentError, MessageTooLargeError, TopologyMismatchError, UnroutableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Message } from '../message/message.ts';
import type { Publisher } from '../message/publisher.ts';
import type { Scheduler } from '../message/schedule.ts';
import type { Topology, TopologySpec } from '../message/topology.ts';
import { backoffMs } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { withoutForeignHeaders, withoutHistory } from './copy.ts';

/** Between two tries of what a broker or database does not take at the moment. Never zero: nothing may spin. */
export const TROUBLE_BACKOFF = Object.freeze({ initialMs: 1_000, maxMs: 20_000 });
export const MIN_TROUBLE_MS = 500;

/** 0.5 s to 10 s and some, jittered, growing with each try in a row. */
export const troubleDelayMs = (tries: number): number =>
  Math.max(MIN_TROUBLE_MS, Math.min(10_000, backoffMs(tries, TROUBLE_BACKOFF)));

export interface PersistOptions {
  /** For the log: what does not work. */
  readonly what: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Whether trying again is of no use; `before` is the error of the try before. @default never */
  readonly isLasting?: ((error: unknown, before: unknown) => boolean) | undefined;
}

/**
 * Does something until it works, or until the signal aborts.
 * @returns whether it was done
 * @throws what is lasting
 */
export async function persist(work: () => Promise<void>, options: PersistOptions): Promise<boolean> {
  const { what, logger, signal, isLasting } = options;
  let before: unknown;
  for (let tries = 0; !signal.aborted; tries += 1) {
    try {
      await work();
      return true;
    } catch (error) {
      if (signal.aborted) break;
      if (isLasting?.(error, before)) throw error;
      before = error;
      const delayMs = troubleDelayMs(tries);
      logger.error({ error, tries: tries + 1, delayMs }, `${what} failed; the message is held and it is tried again`);
      await sleep(delayMs, signal);
    }
  }
  return false;
}

export interface ForwarderOptions {
  readonly publisher: Publisher;
  readonly topology: Topology;
  readonly topologySpec: TopologySpec;
  /** Whether a queue that is missing, and that we cannot make, is waited for. @default true */
  readonly awaitsQueues?: boolean | undefined;
  readonly logger: Logger;
}

/** Brings copies to retry and dead queues. A queue that has gone is made again. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  #ensuring: Promise<void> | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * @param signal gives up: nothing is sent from then on, but what is under way may still arrive
   * @returns whether the broker confirmed it
   * @throws TopologyMismatchError, UnroutableError when its queue is not there to stay, and is not waited for
   */
  forward(copy: Message, signal: AbortSignal): Promise<boolean> {
    const publish = async (message: Message) => {
      try {
        await this.#options.publisher.publish(message, { signal, maxBodyBytes: Number.POSITIVE_INFINITY });
      } catch (error) {
        if (error instanceof UnroutableError) await this.#ensureTopology();
        throw error;
      }
    };
    return this.#persist(copy, publish, `publishing to queue ${copy.routingKey}`, signal);
  }

  /** As `forward`, to a row of the future table. @returns whether it was committed */
  schedule(copy: Message, due: Date, scheduler: Scheduler, signal: AbortSignal): Promise<boolean> {
    return this.#persist(copy, (message) => scheduler.schedule(message, due), 'scheduling a retry', signal);
  }

  #persist(copy: Message, send: (message: Message) => Promise<void>, what: string, signal: AbortSignal) {
    let sent = copy;
    const work = async () => {
      try {
        await send(sent);
      } catch (error) {
        if (isUnsendable(error)) sent = sent === copy ? withoutForeignHeaders(copy) : withoutHistory(sent);
        throw error;
      }
    };
    const { logger, awaitsQueues = true } = this.#options;
    return persist(work, { what, logger, signal, isLasting: awaitsQueues ? undefined : isQueueMissing });
  }

  /** For all that find a queue missing at the same time. */
  #ensureTopology(): Promise<void> {
    const { topology, topologySpec } = this.#options;
    this.#ensuring ??= topology.ensure(topologySpec).finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }
}

/** Still, after the try before has declared what may be declared. */
const isQueueMissing = (error: unknown, before: unknown): boolean =>
  error instanceof TopologyMismatchError || (error instanceof UnroutableError && before instanceof UnroutableError);

/** It cannot be written down, and never will be: some header is of a kind that is read and not written. */
const isUnsendable = (error: unknown): boolean =>
  error instanceof InvalidArgumentError || error instanceof MessageTooLargeError;
