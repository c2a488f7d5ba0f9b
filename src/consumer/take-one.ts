import { CrashingMessageError, DeliveryLostError } from '../errors.ts';
import type { Verdict } from '../message/handler.ts';
import type { InboxKey } from '../message/inbox.ts';
import { NO_START_MARK } from '../message/start-marks.ts';
import type { Subscriber } from '../message/subscriber.ts';
import type { ConsumerFunction, Kinded } from '../router/kind-decorator.ts';
import { asError } from '../router/middleware/recover.ts';
import type { RawHandler } from '../router/raw-consumer.ts';
import { MessageRouter } from '../router/router.ts';
import { sleep } from '../util/sleep.ts';
import { failureOf } from './failures.ts';
import { identityOf } from './identity.ts';
import { InFlight } from './in-flight.ts';
import { nextStep } from './next-step.ts';
import { createWorkings, type HandlingOptions, type Workings } from './workings.ts';

/** A plain function `(routingKey, body, context)`, or what `eventConsumer(fn)` and its like return. */
export type TakeHandler = RawHandler | KindedMark;

/** Without its call signature, lest the parameters of a plain function written in place go untyped. */
type KindedMark = Omit<Kinded<ConsumerFunction>, never>;

export interface TakeOneOptions extends Omit<HandlingOptions, 'router' | 'awaitsQueues'> {
  readonly subscriber: Pick<Subscriber, 'take'>;
}

/**
 * Takes one message from the queue of `topologySpec` by basic.get, on a channel of its own, runs the handler, and acks
 * after it. Inbox, retry and dead letters are as for a consumer; a keyed message is retried in place before this returns.
 * What the handler does not get to see (a duplicate) is settled, and the next one is taken.
 * @returns what the handler returned; undefined when the queue is empty
 * @throws what the handler threw; its message waits in a retry queue or in the dead letters then, or, when
 * infrastructure failed, is back in its queue
 * @throws TopologyMismatchError, UnroutableError when its retry or dead queue is missing and cannot be made, or differs;
 * the message is back in its queue
 */
export async function takeOne(handler: TakeHandler, options: TakeOneOptions): Promise<unknown> {
  const router = new MessageRouter();
  router.defaultConsumer(handler as RawHandler);
  const workings = createWorkings({ ...options, router, awaitsQueues: false });
  for (;;) {
    const delivery = await options.subscriber.take(options.topologySpec.queue.name);
    if (!delivery) return undefined;
    const message = new InFlight(delivery, workings.options.limits);
    const onLost = () => workings.settler.lose(message, new DeliveryLostError(delivery.queue));
    delivery.lost.addEventListener('abort', onLost, { once: true });
    try {
      const done = await handleMarked(message, workings);
      if (!done) continue;
      if (done.outcome === 'handled') return done.value;
      if (done.outcome === 'failed') throw done.value;
    } catch (error) {
      // What it stands on failed around the handler: unsettled, it would be nobody's while this process lives.
      workings.settler.release(message, asError(error));
      throw error;
    } finally {
      delivery.lost.removeEventListener('abort', onLost);
    }
  }
}

/** @returns undefined when the process has died of it too often: it is in the dead letters then */
async function handleMarked(message: InFlight, workings: Workings): Promise<(Verdict & { kind: 'ack' }) | undefined> {
  const { startMarks, settler, runner, options } = workings;
  if (!startMarks || !message.isSuspect) return handle(message, workings);
  const key = identityOf(message.delivery);
  const { starts, isReturned } = (await startMarks.read([key]))[0] ?? NO_START_MARK;
  if (starts === 0 && isReturned) return handle(message, workings);
  if (starts >= options.retry.crashes - 1) {
    runner.identify(message);
    message.move('settling');
    const isThere = await settler.deadLetter(message, 'crashed', new CrashingMessageError(starts + 1));
    if (isThere) await endMark(key, workings);
    return undefined;
  }
  await startMarks.begin(key);
  try {
    return await handle(message, workings);
  } finally {
    await endMark(key, workings);
  }
}

/** The message is settled by then: a mark that stays is no reason to tell the caller otherwise. */
async function endMark(key: InboxKey, { startMarks, logger }: Workings): Promise<void> {
  await startMarks?.end(key).catch((error: unknown) => {
    logger.warn({ error, messageId: key.messageId }, 'a start mark could not be deleted; it goes with the inbox rows');
  });
}

async function handle(message: InFlight, workings: Workings): Promise<Verdict & { kind: 'ack' }> {
  const { runner, settler, clock, options } = workings;
  for (;;) {
    message.move('running');
    const verdict = await runner.run(message);
    if (verdict.kind === 'ack') {
      settler.ack(message, verdict.outcome);
      return verdict;
    }
    // Infrastructure failed: the caller knows better than we whether to wait.
    const isDraining = verdict.kind === 'release';
    const step = nextStep(message, verdict, { retry: options.retry, nowMs: clock.monotonicMs(), isDraining });
    if (step.kind === 'rest') {
      message.failInPlace(failureOf(step.error, clock.now()), clock.monotonicMs());
      message.move('resting');
      await sleep(step.delayMs, message.abandoned);
      if (!message.move('waiting')) throw step.error;
      continue;
    }
    if (step.kind === 'release') settler.release(message, step.error);
    else {
      message.move('settling');
      if (step.kind === 'copy') await settler.retry(message, step.error, step.requestedMs);
      else await settler.deadLetter(message, step.reason, step.error);
    }
    throw step.error;
  }
}
