import { HandlerStoppedError } from '../errors.ts';
import { Lifecycle, type Service, type ServiceState } from '../lifecycle/service.ts';
import type { Subscriber, Subscription } from '../message/subscriber.ts';
import { aborted } from '../util/aborted.ts';
import { Pipeline } from './pipeline.ts';
import { type ConsumerStats, snapshot } from './stats.ts';
import { createWorkings, type HandlingOptions, type Workings } from './workings.ts';

export interface ConsumerParts extends HandlingOptions {
  readonly subscriber: Subscriber;
}

/**
 * Brings the messages of one queue to their handlers and settles them.
 * `start` resolves when the broker has accepted it; it consumes again by itself after losing connection, channel or
 * queue. `stop`: see there.
 * @example
 * const consumer = new Consumer({ subscriber, publisher, topology, topologySpec, router: messageRouter, inbox, logger });
 * await consumer.start();
 */
export class Consumer implements Service {
  readonly name: string;
  readonly #parts: ConsumerParts;
  readonly #workings: Workings;
  readonly #lifecycle: Lifecycle;
  #pipeline: Pipeline | undefined;
  #subscription: Subscription | undefined;

  /** @throws InvalidConsumerError when a route asks for the inbox and there is none */
  constructor(parts: ConsumerParts) {
    this.name = `consumer of ${parts.topologySpec.queue.name}`;
    this.#parts = parts;
    this.#workings = createWorkings(parts);
    this.#lifecycle = new Lifecycle(this.name, { start: (signal) => this.#start(signal), stop: () => this.#stop() });
  }

  get state(): ServiceState {
    return this.#lifecycle.state;
  }

  /** Whether the broker delivers to us at the moment. */
  get isReady(): boolean {
    return this.state === 'running' && this.#subscription?.isConsuming === true;
  }

  get stats(): ConsumerStats {
    return snapshot(this.#workings.counters, this.#pipeline?.inFlight ?? 0);
  }

  /** @throws TopologyMismatchError when queues or exchanges are not as wanted; nothing was changed by it then */
  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  /**
   * Takes no more messages, waits up to `graceMs` for handlers that run, aborts the signals of those that still do, gives
   * back what is not finished, sends the acks, closes. What was given back is delivered again, to us or to others.
   */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { subscriber, topology, topologySpec } = this.#parts;
    const { prefetch } = this.#workings.options;
    // It waits for the broker; whoever stops us meanwhile does not.
    await Promise.race([topology.ensure(topologySpec), aborted(signal)]);
    if (signal.aborted) return;
    const pipeline = new Pipeline(this.#workings);
    const onDelivery = pipeline.receive.bind(pipeline);
    const { name: queue, singleActiveConsumer: isSingleActive } = topologySpec.queue;
    const subscription = subscriber.subscribe({ queue, prefetch, isSingleActive, onDelivery });
    this.#pipeline = pipeline;
    this.#subscription = subscription;
    const giveUp = () => void subscription.stop();
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      await subscription.start();
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  async #stop(): Promise<void> {
    const subscription = this.#subscription;
    const pipeline = this.#pipeline;
    if (!subscription || !pipeline) return;
    const { graceMs } = this.#workings.options;
    // With a single active consumer the next one becomes active at our cancel, and would be ahead of what runs here:
    // the queue is left, with everything unsettled, only when nothing runs any more.
    const isPatient = this.#parts.topologySpec.queue.singleActiveConsumer;
    if (!isPatient) await subscription.pause();
    await pipeline.drain(graceMs, isPatient);
    pipeline.leaveToQueue(new HandlerStoppedError(graceMs));
    await subscription.stop();
    this.#subscription = undefined;
    this.#pipeline = undefined;
  }
}
