import type { Incoming } from '../message/handler.ts';
import type { Headers } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';
import type { HandledRoute } from '../router/pipeline.ts';
import type { Linked } from '../util/linked-set.ts';
import type { JsonLimits } from '../wire/json.ts';
import { decodeBody } from './decode.ts';
import { type Failure, MAX_FAILURES } from './failures.ts';
import { hasComeBack } from './identity.ts';
import type { LaneItem } from './lanes.ts';
import { CopyDelivery, readKey, readOrigin } from './original.ts';
import type { RunContext } from './run-context.ts';

export const IN_FLIGHT_STATES = ['waiting', 'running', 'resting', 'settling', 'settled'] as const;
export type InFlightState = (typeof IN_FLIGHT_STATES)[number];

const MOVES: Readonly<Record<InFlightState, readonly InFlightState[]>> = Object.freeze({
  waiting: ['running', 'settling', 'settled'],
  running: ['resting', 'settling', 'settled'],
  resting: ['waiting', 'settling', 'settled'],
  settling: ['settled'],
  settled: [],
});

/**
 * A message between its delivery and its settlement.
 *
 *    delivered                  verdict: ack
 *   ──────────▶ waiting ─▶ running ─────────────────▶ settled
 *                  ▲         │   │ retry, dead          ▲
 *                  │ time is │   ▼                      │
 *                  │ up      │  settling ───────────────┤ copy confirmed, marked, acked
 *                  │         ▼   ▲                      │
 *                  └────── resting ─────────────────────┘ given back, or its channel is lost (from any state)
 *                     in place
 */
export class InFlight implements Incoming, LaneItem<InFlight>, Linked<InFlight> {
  /** A copy of ours looks like the first delivery here. */
  readonly delivery: Delivery;
  readonly exchange: string;
  readonly routingKey: string;
  readonly key: string | undefined;
  readonly isRedriven: boolean;
  /** The headers that we wrote on a copy; undefined on what is no copy of ours. */
  readonly copyHeaders: Headers | undefined;
  /** Of the run that is under way or comes next; runs in place count too. */
  attempt: number;
  behind: InFlight | undefined = undefined;
  before: InFlight | undefined = undefined;
  after: InFlight | undefined = undefined;
  /** It has been with a consumer before, which may have died of it; until it has run alone. */
  isSuspect: boolean;
  /** Of its handler, from its first run on; undefined when none takes it. */
  route: HandledRoute | undefined = undefined;
  /** Of the run under way. */
  context: RunContext | undefined = undefined;
  /** When it failed first here, on the monotonic clock; retries in place are counted from it. */
  firstFailureMs: number | undefined = undefined;
  /** How often in a row the infrastructure failed it, and since when. */
  troubles = 0;
  firstTroubleMs: number | undefined = undefined;
  /** Runs the message again when a rest in place is over. */
  timer: NodeJS.Timeout | undefined = undefined;
  readonly #limits: JsonLimits;
  #state: InFlightState = 'waiting';
  #abandoned: AbortController | undefined;
  #body: unknown;
  #isDecoded = false;
  #failures: Failure[] | undefined;
  #cut: ((reason: Error) => void) | undefined;

  constructor(delivery: Delivery, limits: JsonLimits) {
    this.#limits = limits;
    const origin = readOrigin(delivery);
    this.delivery = origin ? new CopyDelivery(delivery) : delivery;
    this.exchange = origin ? origin.exchange : delivery.exchange;
    this.routingKey = origin ? origin.routingKey : delivery.routingKey;
    this.key = readKey(delivery.properties);
    this.isRedriven = origin?.isRedriven ?? false;
    this.copyHeaders = origin && delivery.properties.headers;
    this.attempt = (origin?.failedRuns ?? 0) + 1;
    this.isSuspect = hasComeBack(delivery);
  }

  /**
   * The parsed JSON, parsed when it is first asked for.
   * @throws MalformedMessageError (SVC_COMM_MALFORMED_MESSAGE)
   */
  get body(): unknown {
    if (!this.#isDecoded) {
      this.#body = decodeBody(this.delivery, this.#limits);
      this.#isDecoded = true;
    }
    return this.#body;
  }

  renewBody(): void {
    this.#isDecoded = false;
    this.#body = undefined;
  }

  get state(): InFlightState {
    return this.#state;
  }

  /** @returns false, and nothing changes, when it cannot go there from where it is: someone else was faster */
  move(to: InFlightState): boolean {
    if (!MOVES[this.#state].includes(to)) return false;
    // What is parsed takes several times its bytes, and of those that rest there may be as many as are handed out.
    this.renewBody();
    this.#state = to;
    return true;
  }

  /** Aborts when whatever is done about it now (waiting, publishing a copy) is to be given up. */
  get abandoned(): AbortSignal {
    this.#abandoned ??= new AbortController();
    return this.#abandoned.signal;
  }

  /** Failed runs in this place, oldest first. */
  get failures(): readonly Failure[] {
    return this.#failures ?? [];
  }

  addFailure(failure: Failure): void {
    this.#failures ??= [];
    this.#failures.push(failure);
    if (this.#failures.length > MAX_FAILURES) this.#failures.shift();
  }

  /** Its run failed, and it will run again here. */
  failInPlace(failure: Failure, nowMs: number): void {
    this.addFailure(failure);
    this.attempt += 1;
    this.firstFailureMs ??= nowMs;
    this.troubles = 0;
    this.firstTroubleMs = undefined;
  }

  /** Infrastructure failed its run. */
  meetTrouble(nowMs: number): void {
    this.troubles += 1;
    this.firstTroubleMs ??= nowMs;
  }

  /** The layer that can end the run under way from outside. */
  onCutShort(cut: (reason: Error) => void): void {
    this.#cut = cut;
  }

  /** Ends the run under way, whatever its function still does: a transaction around it is rolled back. */
  cutShort(reason: Error): void {
    this.abandon(reason);
    this.#cut?.(reason);
  }

  /** Its channel is lost, or it is being given back: the handler's signal aborts, and no copy is published any more. */
  abandon(reason: Error): void {
    this.context?.abort(reason);
    this.#abandoned ??= new AbortController();
    this.#abandoned.abort(reason);
  }
}
