import { v7 as uuidv7 } from 'uuid';
import { InvalidArgumentError } from '../errors.ts';
import { type Clock, systemClock } from '../lifecycle/clock.ts';
import type { Publisher } from '../message/publisher.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { assertKnownNames } from '../util/assert-object.ts';
import { assertName } from '../util/topic-pattern.ts';
import { callResponseKey, encodeQuestion } from '../wire/call.ts';
import { type DeadlineOptions, resolveDeadline } from '../wire/deadline.ts';
import { DEFAULT_JSON_LIMITS, type JsonLimits } from '../wire/json.ts';
import { assertCallee, callMessage } from './call-message.ts';

export interface SendCallOptions extends DeadlineOptions {
  /** The exchange that the answer is sent to, with routing key `call-response.<service>.<method>`. @default the appId */
  readonly replyTo?: string | undefined;
  /** As for events: a handle, `'ambient'` or `'own'`. @default 'ambient' */
  readonly transaction?: unknown;
}

export interface CallSenderOptions {
  /** The outbox, bound to a transaction. */
  readonly inTransaction: (transaction: unknown, what: string) => Publisher;
  /** AMQP `app_id`, and where answers go unless it is said otherwise. */
  readonly appId: string;
  /** Makes deadlines. @default the system's clock */
  readonly clock?: Clock;
  /** Awaited before a deadline is made by the clock. @default nothing */
  readonly clockKnown?: () => Promise<void>;
  /** Of bodies: what receivers with the same settings would refuse is refused. @default DEFAULT_JSON_LIMITS */
  readonly limits?: JsonLimits;
  /** @default spans for the OpenTelemetry of the process */
  readonly telemetry?: Telemetry;
}

const OPTIONS = ['replyTo', 'timeout', 'expiredTime', 'transaction'] as const satisfies (keyof SendCallOptions)[];

/** Asks services through the outbox; their answers are messages, for `callResponseConsumer`. */
export class CallSender {
  readonly #options: Required<CallSenderOptions>;

  constructor(options: CallSenderOptions) {
    const defaults = { clock: systemClock, clockKnown: () => Promise.resolve(), limits: DEFAULT_JSON_LIMITS };
    this.#options = { telemetry: new Telemetry(), ...defaults, ...options };
  }

  /**
   * Asks if and only if the transaction commits; the relay sends it then, with the time that is left.
   * @param service the exchange of the service
   * @param data what JSON can carry
   * @returns the call's id, which its answer carries: a UUIDv7
   * @throws as `publishAggregateEvent`; InvalidNameError also when the answer's routing key would be too long;
   *   InvalidArgumentError for both `timeout` and `expiredTime` or one that has passed
   * @example const callId = await sendCall('pricing', 'quote', { sku }, { replyTo: 'orders', timeout: 30 });
   */
  async send(service: string, method: string, data: unknown, options: SendCallOptions = {}): Promise<string> {
    assertKnownNames('options', options, OPTIONS);
    const { inTransaction, appId, clock, clockKnown, limits, telemetry } = this.#options;
    const { replyTo = appId, transaction = 'ambient' } = options;
    assertCallee(service, method);
    assertName('routing key of the answer', callResponseKey(service, method));
    assertName('replyTo', replyTo);
    if (replyTo === '') throw new InvalidArgumentError('replyTo', 'the exchange for the answer', 'an empty text');
    // Before anything is waited for: what becomes of it meanwhile does not travel.
    const question = encodeQuestion(data, limits);
    if (options.timeout !== undefined || options.expiredTime !== undefined) await clockKnown();
    const now = clock.now();
    const deadline = resolveDeadline(options, now);
    const callId = uuidv7();
    await telemetry.sending('create', { exchange: service, routingKey: method }, (tell) => {
      const message = callMessage({ service, method, data: question, callId, replyTo, deadline }, { appId, now });
      tell(callId, message.properties.correlationId);
      return inTransaction(transaction, 'sendCall').publish(message);
    });
    return callId;
  }
}
