import { v7 as uuidv7 } from 'uuid';
import {
  CallLostError,
  CallTimeoutError,
  InvalidArgumentError,
  PublishTimeoutError,
  RemoteError,
  UnreadableReplyError,
} from '../errors.ts';
import { type Clock, systemClock } from '../lifecycle/clock.ts';
import type { Publisher } from '../message/publisher.ts';
import { DIRECT_REPLY_TO, type Reply, type ReplyListener } from '../message/replies.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { assertKnownNames, assertSignal } from '../util/assert-object.ts';
import { currentCorrelation } from '../util/correlation.ts';
import type { Duration } from '../util/duration.ts';
import { onAbort } from '../util/on-abort.ts';
import { encodeQuestion } from '../wire/call.ts';
import { type DeadlineOptions, resolveDeadline } from '../wire/deadline.ts';
import { DEFAULT_JSON_LIMITS, type JsonLimits } from '../wire/json.ts';
import { assertCallee, callMessage } from './call-message.ts';
import { type CallOutcome, type CallStats, PendingCalls } from './pending-calls.ts';

export interface CallOptions extends DeadlineOptions {
  /** Gives up waiting; the call itself may be executed all the same. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS = ['timeout', 'expiredTime', 'signal'] as const satisfies (keyof CallOptions)[];

/** For calls that say no deadline: none may wait for ever. */
export const DEFAULT_CALL_TIMEOUT: Duration = '30s';

export interface CallerOptions {
  /** Whose channel the answers come back on: it tells them to `onReply` and `onLost`. */
  readonly publisher: Publisher;
  /** Resolves when calls can be sent and answered, within that time. @throws BrokerUnavailableError */
  readonly ready: (timeoutMs: number, signal?: AbortSignal) => Promise<void>;
  /** The exchange that callees may answer to which answer by message; undefined while there is none. */
  readonly replyExchange: () => string | undefined;
  /** The broker's words when it takes no publishes at the moment: no answer comes through then. @default never */
  readonly blockedReason?: () => string | undefined;
  /** AMQP `app_id`. */
  readonly appId: string;
  /** Makes deadlines. @default the system's clock */
  readonly clock?: Clock;
  /** Awaited before a deadline is made by the clock. @default nothing */
  readonly clockKnown?: () => Promise<void>;
  /** Of bodies, the question's and the answer's. @default DEFAULT_JSON_LIMITS */
  readonly limits?: JsonLimits;
  /** @default spans for the OpenTelemetry of the process */
  readonly telemetry?: Telemetry;
}

interface OpenCall {
  readonly service: string;
  readonly method: string;
  readonly callId: string;
  readonly timeoutMs: number;
}

/**
 * Asks services and waits for the answers. It gives callees two ways of answering: AMQP `reply_to`, and an exchange of
 * the service in `meta.replyTo` for those that answer by message, as the Python peer does.
 */
export class Caller implements ReplyListener {
  readonly #options: Required<CallerOptions>;
  readonly #pending: PendingCalls;

  constructor(options: CallerOptions) {
    const defaults = {
      blockedReason: () => undefined,
      clock: systemClock,
      clockKnown: () => Promise.resolve(),
      limits: DEFAULT_JSON_LIMITS,
    };
    this.#options = { telemetry: new Telemetry(), ...defaults, ...options };
    this.#pending = new PendingCalls(uuidv7(), this.#options.limits);
  }

  get stats(): CallStats {
    return this.#pending.stats;
  }

  /**
   * Asks a service, and resolves with its answer. It settles once, by its deadline at the latest.
   * @param service the exchange of the service
   * @param data what JSON can carry
   * @param options.timeout seconds, or a duration; above 0. @default 30 s
   * @returns the `data` of the answer; its type is yours to vouch for
   * @throws RemoteError (SVC_COMM_REMOTE) when the callee failed
   * @throws CallTimeoutError (SVC_COMM_CALL_TIMEOUT), CallLostError (SVC_COMM_CALL_LOST): whether it was executed is unknown
   * @throws UnreadableReplyError (SVC_COMM_UNREADABLE_REPLY), UnroutableError, BrokerUnavailableError, the signal's reason
   * @example const price = await call<Price>('pricing', 'quote', { sku }, { timeout: 2 });
   */
  async call<Result = unknown>(
    service: string,
    method: string,
    data: unknown,
    options: CallOptions = {},
  ): Promise<Result> {
    assertKnownNames('options', options, OPTIONS);
    const { signal } = options;
    assertSignal(signal);
    const { clock, clockKnown, ready, limits } = this.#options;
    signal?.throwIfAborted();
    assertCallee(service, method);
    // Before anything is waited for: what becomes of it meanwhile does not travel.
    const question = encodeQuestion(data, limits);
    await clockKnown();
    const now = clock.now();
    const deadline = deadlineOf(options, now);
    const timeoutMs = deadline.getTime() - now;
    const endsAtMs = performance.now() + timeoutMs;
    await ready(timeoutMs, signal);
    signal?.throwIfAborted();
    const callId = this.#pending.nextId();
    const open = { service, method, callId, timeoutMs };
    // Thrown here, behind the await: the stack shows who called.
    return this.#options.telemetry.sending('call', { exchange: service, routingKey: method }, async (tell) => {
      const correlationId = currentCorrelation()?.correlationId ?? callId;
      tell(callId, correlationId);
      const outcome = await this.#exchange({ ...open, correlationId }, question, deadline, endsAtMs, signal);
      return resultOf<Result>(outcome, open, this.#options.blockedReason());
    });
  }

  onReply(reply: Reply): void {
    this.#pending.reply(reply, 'own');
  }

  /** From the exchange of the service: what comes there is brought to all of its instances. */
  onSharedReply(reply: Reply): void {
    this.#pending.reply(reply, 'shared');
  }

  onLost(): void {
    this.#pending.loseSent();
  }

  async #exchange(
    { service, method, callId, correlationId }: OpenCall & { readonly correlationId: string },
    data: string,
    deadline: Date,
    endsAtMs: number,
    signal: AbortSignal | undefined,
  ): Promise<CallOutcome> {
    const pending = this.#pending;
    const { publisher, replyExchange, appId, clock } = this.#options;
    const replyTo = replyExchange() ?? '';
    const message = callMessage({ service, method, data, callId, replyTo, deadline }, { appId, now: clock.now() });
    const properties = { ...message.properties, correlationId, replyTo: DIRECT_REPLY_TO };
    const outcome = pending.enter(callId, correlationId);
    const forget = onAbort(signal, () => pending.settle(callId, { kind: 'aborted', reason: signal?.reason }));
    const leftMs = () => endsAtMs - performance.now();
    publisher.publish({ ...message, properties }, { timeoutMs: Math.max(1, leftMs()), ...(signal && { signal }) }).then(
      () => pending.sent(callId, leftMs()),
      (error: unknown) => pending.settle(callId, { kind: 'not-sent', error }),
    );
    try {
      return await outcome;
    } finally {
      forget();
    }
  }
}

function deadlineOf({ timeout, expiredTime }: CallOptions, now: number): Date {
  const given =
    timeout === undefined && expiredTime === undefined ? { timeout: DEFAULT_CALL_TIMEOUT } : { timeout, expiredTime };
  const deadline = resolveDeadline(given, now);
  if (!deadline) throw new InvalidArgumentError('timeout', 'a deadline', 'none');
  return deadline;
}

function resultOf<Result>(outcome: CallOutcome, open: OpenCall, blockedReason: string | undefined): Result {
  switch (outcome.kind) {
    case 'answered': {
      const { error, data } = outcome.response;
      if (error) throw new RemoteError(`${open.service}.${open.method}`, error.code, error.message);
      return data as Result;
    }
    case 'unreadable':
      throw new UnreadableReplyError(open, { cause: outcome.error });
    case 'not-sent':
      // Sent, and no confirm before the deadline: no answer either.
      if (outcome.error instanceof PublishTimeoutError) {
        throw new CallTimeoutError(open, { cause: outcome.error, blockedReason });
      }
      throw outcome.error;
    case 'aborted':
      throw outcome.reason;
    case 'timeout':
      throw new CallTimeoutError(open, { blockedReason });
    case 'lost':
      throw new CallLostError(open);
    default:
      return outcome satisfies never;
  }
}
