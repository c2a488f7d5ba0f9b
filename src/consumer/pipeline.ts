import { setImmediate } from 'node:timers/promises';
import { DeliveryLostError, HandlerStoppedError } from '../errors.ts';
import type { Verdict } from '../message/handler.ts';
import type { Delivery } from '../message/subscriber.ts';
import { asError } from '../router/middleware/recover.ts';
import { deferred } from '../util/deferred.ts';
import { LinkedSet } from '../util/linked-set.ts';
import { sleep } from '../util/sleep.ts';
import { failureOf } from './failures.ts';
import { troubleDelayMs } from './forward.ts';
import { InFlight } from './in-flight.ts';
import { Isolation } from './isolation.ts';
import { LaneHost } from './isolation-host.ts';
import { Lanes } from './lanes.ts';
import { messageFields } from './message-fields.ts';
import { nextStep, type Step } from './next-step.ts';
import type { Workings } from './workings.ts';

/** Handlers that end within this time at a stop are all that is waited for. */
const PROMPT_MS = 500;

/**
 * Between the last settlement and the end of the channel. RabbitMQ holds back settlements of a quorum queue while more
 * than 32 of a channel are under way, and forgets those when the channel closes: their messages would come again.
 */
const SETTLING_MS = 100;

/** Deliveries on their way: into lanes, through the handler, to their settlement. One for each start of a consumer. */
export class Pipeline {
  readonly #parts: Workings;
  readonly #lanes: Lanes<InFlight>;
  /** In the order they came. */
  readonly #inFlight = new LinkedSet<InFlight>();
  /** Handlers that have not returned, those of lost messages too. */
  #running = 0;
  #isDraining = false;
  /** At a stop all goes back to the queue at once, when its channel closes. */
  #isPatient = false;
  /** Of the channel that brings deliveries; undefined until the first. */
  #lost: AbortSignal | undefined;
  readonly #quiet = deferred();
  readonly #isolation: Isolation | undefined;
  readonly #host: LaneHost;

  constructor(parts: Workings) {
    this.#parts = parts;
    const { startMarks: marks, logger, options, runner, settler } = parts;
    this.#lanes = new Lanes(
      options.concurrency,
      (message) => this.#begin(message),
      (message) => this.#takeAside(message),
    );
    this.#host = new LaneHost({
      lanes: this.#lanes,
      isIdle: () => this.#running === 0 || this.#isDraining,
      giveUp: async (message, error) => {
        runner.identify(message);
        message.move('settling');
        let isThere = false;
        await this.#settled(message, async () => {
          isThere = await settler.deadLetter(message, 'crashed', error);
        });
        return isThere;
      },
    });
    this.#isolation = marks && new Isolation({ marks, crashes: options.retry.crashes, logger }, this.#host);
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  receive(delivery: Delivery): void {
    const { counters, options } = this.#parts;
    counters.received += 1;
    if (delivery.lost !== this.#lost) this.#watch(delivery.lost);
    const message = new InFlight(delivery, options.limits);
    this.#inFlight.add(message);
    if (!this.#isDraining) this.#lanes.enter(message);
  }

  /**
   * Begins nothing more and waits for what runs; resolves when nothing does, or the time is up and what still ran was cut
   * short. What has not begun stays with us for the time being.
   * @param isPatient false: after `PROMPT_MS` what has not begun is given back, for others to take
   */
  async drain(graceMs: number, isPatient: boolean): Promise<void> {
    this.#isDraining = true;
    this.#isPatient = isPatient;
    this.#lanes.close();
    this.#isolation?.stop();
    this.#host.onDraining();
    for (const message of this.#inFlight) clearTimeout(message.timer);
    this.#checkQuiet();
    const promptMs = isPatient ? graceMs : Math.min(PROMPT_MS, graceMs);
    const reason = new HandlerStoppedError(graceMs);
    if (!(await this.#isQuietWithin(promptMs))) {
      if (!isPatient) await this.#giveBackWaiting(reason);
      if (!(await this.#isQuietWithin(graceMs - promptMs))) await this.#cutShort(reason);
    }
    await this.#isolation?.settled();
    await this.#isolation?.explain([...this.#inFlight]);
    if (this.#lost) await sleep(SETTLING_MS);
  }

  /** All that is left goes back to the queue when its channel closes, which is next. */
  leaveToQueue(reason: Error): void {
    for (const message of this.#inFlight) this.#parts.settler.leaveToQueue(message, reason);
    this.#inFlight.clear();
  }

  async #isQuietWithin(ms: number): Promise<boolean> {
    const end = new AbortController();
    const quiet = this.#quiet.promise.then(() => true);
    const isQuiet = await Promise.race([quiet, sleep(ms, end.signal).then(() => false)]);
    end.abort();
    return isQuiet;
  }

  /** In the order they came, which the queue keeps. */
  async #giveBackWaiting(reason: Error): Promise<void> {
    const isWaiting = ({ state }: InFlight) => state === 'waiting' || state === 'resting';
    const waiting = [...this.#inFlight].filter(isWaiting);
    await this.#isolation?.explain(waiting);
    for (const message of waiting) {
      if (!isWaiting(message)) continue;
      this.#parts.settler.release(message, reason);
      this.#inFlight.delete(message);
    }
  }

  async #cutShort(reason: Error): Promise<void> {
    await this.#isolation?.explain([...this.#inFlight]);
    for (const message of this.#inFlight) if (message.state === 'running') message.cutShort(reason);
    // Runs that end at once have a turn to do so, and their transactions to be rolled back.
    await setImmediate();
  }

  /** One listener for all deliveries of a channel: they share its signal. */
  #watch(lost: AbortSignal): void {
    this.#lost = lost;
    lost.addEventListener('abort', () => this.#loseAll(lost), { once: true });
  }

  #loseAll(lost: AbortSignal): void {
    const messages = [...this.#inFlight].filter(({ delivery }) => delivery.lost === lost);
    // They are back with the broker already; whoever is brought them first does not know that we live.
    void this.#isolation?.explain(messages);
    const resting = messages.filter(({ state }) => state === 'resting');
    for (const message of messages) {
      clearTimeout(message.timer);
      this.#parts.settler.lose(message, new DeliveryLostError(message.delivery.queue));
      this.#inFlight.delete(message);
    }
    // Only now: one behind it that was not known to be lost yet would begin, and overtake it.
    for (const message of resting) this.#lanes.leave(message);
    this.#checkQuiet();
  }

  #begin(message: InFlight): void {
    // Lost while it waited. What comes behind it in its lane comes after its new delivery.
    if (!message.move('running')) {
      this.#lanes.finish(message);
      this.#host.onEnded(message);
      return;
    }
    this.#running += 1;
    const verdict = this.#run(message);
    if (!(verdict instanceof Promise)) this.#onVerdict(message, verdict);
    else {
      verdict.then(
        (value) => this.#onVerdict(message, value),
        (error: unknown) => this.#onVerdict(message, { kind: 'retry', error: asError(error) }),
      );
    }
  }

  /** What it throws would go to whoever brought the message, and its slot would never be free again. */
  #run(message: InFlight): Verdict | Promise<Verdict> {
    try {
      return this.#parts.runner.run(message);
    } catch (error) {
      return { kind: 'retry', error: asError(error) };
    }
  }

  #onVerdict(message: InFlight, verdict: Verdict): void {
    this.#running -= 1;
    if (message.state !== 'running') this.#lanes.finish(message);
    else if (verdict.kind === 'ack') {
      this.#parts.settler.ack(message, verdict.outcome);
      this.#inFlight.delete(message);
      this.#lanes.finish(message);
    } else this.#putAway(message, this.#nextStep(message, verdict));
    this.#host.onEnded(message);
    if (this.#isDraining) this.#checkQuiet();
  }

  #nextStep(message: InFlight, verdict: Exclude<Verdict, { kind: 'ack' }>): Step {
    const { options, clock } = this.#parts;
    const circumstances = { retry: options.retry, nowMs: clock.monotonicMs(), isDraining: this.#isDraining };
    return nextStep(message, verdict, circumstances);
  }

  #putAway(message: InFlight, step: Step): void {
    const { settler } = this.#parts;
    switch (step.kind) {
      case 'copy':
        this.#settle(message, () => settler.retry(message, step.error, step.requestedMs));
        break;
      case 'dead':
        this.#settle(message, () => settler.deadLetter(message, step.reason, step.error));
        break;
      case 'rest':
        this.#rest(message, step);
        break;
      case 'release':
        if (!this.#isDraining) {
          this.#settle(message, () => this.#giveBack(message, step.error));
          break;
        }
        this.#lanes.rest();
        // By itself it would be brought again, here, and would then go back behind those of its key that wait here.
        if (this.#isPatient) message.move('resting');
        else {
          settler.release(message, step.error);
          this.#leave(message);
        }
        break;
      default:
        step satisfies never;
    }
  }

  /** It comes again at once, here or elsewhere, and is no suspect of having ended a process. */
  async #giveBack(message: InFlight, error: Error): Promise<void> {
    await this.#isolation?.explain([message]);
    this.#parts.settler.release(message, error);
  }

  /** The slot is free at once, the key only when the message is settled. */
  #settle(message: InFlight, work: () => Promise<unknown>): void {
    message.move('settling');
    this.#lanes.rest();
    void this.#settled(message, work);
  }

  async #settled(message: InFlight, work: () => Promise<unknown>): Promise<void> {
    await work()
      .catch(async (error: unknown) => {
        const delayMs = troubleDelayMs(0);
        this.#parts.logger.error({ error, delayMs }, 'a message could not be settled; it is given back');
        await sleep(delayMs, message.abandoned);
        this.#parts.settler.release(message, asError(error));
      })
      .finally(() => this.#leave(message));
  }

  #rest(message: InFlight, { error, delayMs, isFailedRun }: Step & { kind: 'rest' }): void {
    const { clock, counters, logger } = this.#parts;
    const what = isFailedRun ? 'handler failed' : 'infrastructure failed';
    const fields = { error, ...messageFields(message), delayMs };
    logger.warn(fields, `${what}; the message stays here, its key waiting, and is tried again`);
    if (isFailedRun) message.failInPlace(failureOf(error, clock.now()), clock.monotonicMs());
    else message.meetTrouble(clock.monotonicMs());
    counters.rerunInPlace += 1;
    message.move('resting');
    this.#lanes.rest();
    message.timer = setTimeout(() => {
      message.move('waiting');
      this.#lanes.resume(message);
    }, delayMs);
  }

  #takeAside(message: InFlight): boolean {
    if (!this.#isolation || !message.isSuspect) return false;
    this.#isolation.add(message);
    return true;
  }

  #leave(message: InFlight): void {
    this.#inFlight.delete(message);
    this.#lanes.leave(message);
    if (this.#isDraining) this.#checkQuiet();
  }

  #checkQuiet(): void {
    if (!this.#isDraining || this.#running > 0) return;
    for (const { state } of this.#inFlight) if (state === 'settling') return;
    this.#quiet.resolve();
  }
}
