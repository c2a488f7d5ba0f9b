import { InvalidArgumentError, MessageTooLargeError, UnroutableError } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Message } from '../message/message.ts';
import type { Publisher } from '../message/publisher.ts';
import type { Topology, TopologySpec } from '../message/topology.ts';
import { backoffMs } from '../util/backoff.ts';
import { sleep } from '../util/sleep.ts';
import { withoutForeignHeaders } from './copy.ts';

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
}

/**
 * Does something until it works, or until the signal aborts.
 * @returns whether it was done
 */
export async function persist(work: () => Promise<void>, { what, logger, signal }: PersistOptions): Promise<boolean> {
  for (let tries = 0; !signal.aborted; tries += 1) {
    try {
      await work();
      return true;
    } catch (error) {
      if (signal.aborted) break;
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
   */
  forward(copy: Message, signal: AbortSignal): Promise<boolean> {
    const { publisher, logger } = this.#options;
    let sent = copy;
    const publish = async () => {
      try {
        await publisher.publish(sent, { signal, maxBodyBytes: Number.POSITIVE_INFINITY });
      } catch (error) {
        if (error instanceof UnroutableError) await this.#ensureTopology();
        if (isUnsendable(error)) sent = withoutForeignHeaders(copy);
        throw error;
      }
    };
    return persist(publish, { what: `publishing to queue ${copy.routingKey}`, logger, signal });
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

/** The client cannot write it down, and never will: some header is of a kind that it reads but does not write. */
const isUnsendable = (error: unknown): boolean =>
  error instanceof InvalidArgumentError || error instanceof MessageTooLargeError;
