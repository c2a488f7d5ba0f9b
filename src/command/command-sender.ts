import { type Clock, systemClock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { Publisher } from '../message/publisher.ts';
import { Telemetry, type Tell } from '../telemetry/telemetry.ts';
import { assertKnownNames, assertSignal } from '../util/assert-object.ts';
import { type DeadlineOptions, resolveDeadline } from '../wire/deadline.ts';
import { DEFAULT_JSON_LIMITS, type JsonLimits } from '../wire/json.ts';
import { commandMessage, type MessageParts, type WrittenCommand, writtenCommand } from './command-message.ts';

export interface SendCommandOptions extends DeadlineOptions {
  /** Routing key: which of the service's commands. At most 255 bytes. @default '' */
  readonly commandName?: string | undefined;
  /**
   * Sends it if and only if this transaction commits: a handle of the caller's, `'ambient'` for the one that the code runs
   * in, `'own'` for one of its own. @default none: it is sent at once, whatever becomes of the transaction around it
   */
  readonly transaction?: unknown;
  /** Gives up an immediate send; no effect with `transaction`. */
  readonly signal?: AbortSignal | undefined;
}

export interface SentCommand {
  /** UUIDv7; AMQP `message_id`. */
  readonly commandId: string;
}

export interface CommandSenderOptions {
  /** Of what is sent at once. Its promise is the broker's confirm. */
  readonly publisher: Publisher;
  /** The outbox, bound to a transaction. @param transaction as in `SendCommandOptions` */
  readonly inTransaction: (transaction: unknown, what: string) => Publisher;
  /** Whether the code runs in a transaction that events would join. */
  readonly isInTransaction: () => boolean;
  /** AMQP `app_id`. */
  readonly appId: string;
  /** How long an immediate send may take, in ms, the deadline permitting. */
  readonly timeoutMs: number;
  /** Holds deadlines. @default the system's clock */
  readonly clock?: Clock;
  /** Awaited before a deadline is made by the clock. @default nothing */
  readonly clockKnown?: () => Promise<void>;
  /** Of bodies: what receivers with the same settings would refuse is refused. @default DEFAULT_JSON_LIMITS */
  readonly limits?: JsonLimits;
  /** @default spans for the OpenTelemetry of the process */
  readonly telemetry?: Telemetry;
  readonly logger: Logger;
}

/** With a misspelt one a command would be sent outside of its transaction, or be executed after its time. */
const OPTIONS = [
  'commandName',
  'timeout',
  'expiredTime',
  'transaction',
  'signal',
] as const satisfies (keyof SendCommandOptions)[];

/** Routes that were warned about are remembered up to so many. */
const MAX_WARNED = 1000;

/** Tells services to do something, without waiting for them. */
export class CommandSender {
  readonly #options: Required<CommandSenderOptions>;
  readonly #warned = new Set<string>();

  constructor(options: CommandSenderOptions) {
    const defaults = { clock: systemClock, clockKnown: () => Promise.resolve(), limits: DEFAULT_JSON_LIMITS };
    this.#options = { telemetry: new Telemetry(), ...defaults, ...options };
  }

  /**
   * Sends a command to a service. At once: resolves when the broker has confirmed it. With `transaction`: resolves when it
   * is in the transaction, and the relay sends it after the commit, with the time that is left then.
   * @param service the exchange of the service
   * @param args what JSON can carry, without a key `meta`; not changed
   * @throws InvalidArgumentError for both `timeout` and `expiredTime`, a deadline that has passed, arguments with `meta`
   * @throws UnroutableError, PublishRefusedError, PublishTimeoutError, BrokerUnavailableError, MessageTooLargeError
   * @throws with `transaction` what `publishAggregateEvent` throws
   * @example await sendCommand('sms', { phone, text }, { commandName: 'send', timeout: 30 });
   */
  async send(service: string, args: object = {}, options: SendCommandOptions = {}): Promise<SentCommand> {
    assertKnownNames('options', options, OPTIONS);
    assertSignal(options.signal);
    const { appId, clock, clockKnown, limits, telemetry } = this.#options;
    const { commandName = '', transaction, signal } = options;
    const command = writtenCommand({ service, commandName, args }, limits);
    if (options.timeout !== undefined || options.expiredTime !== undefined) await clockKnown();
    const now = clock.now();
    const deadline = resolveDeadline(options, now);
    const operation = transaction === undefined ? 'send' : 'create';
    return telemetry.sending(operation, { exchange: service, routingKey: commandName }, (tell) =>
      this.#send(command, { deadline, appId, now }, { transaction, signal }, tell),
    );
  }

  async #send(
    command: WrittenCommand,
    parts: MessageParts,
    { transaction, signal }: SendCommandOptions,
    tell: Tell,
  ): Promise<SentCommand> {
    const { publisher, inTransaction } = this.#options;
    const { service, commandName } = command;
    const { deadline, now } = parts;
    const message = commandMessage(command, parts);
    const commandId = message.properties.messageId;
    tell(commandId);
    if (transaction === undefined) {
      this.#warnInTransaction(service, commandName);
      const remainingMs = deadline ? deadline.getTime() - now : Number.POSITIVE_INFINITY;
      const timeoutMs = Math.min(this.#options.timeoutMs, remainingMs);
      await publisher.publish(message, { timeoutMs, ...(signal && { signal }) });
    } else {
      await inTransaction(transaction, 'sendCommand').publish(message);
    }
    return { commandId };
  }

  #warnInTransaction(service: string, commandName: string): void {
    const route = `${service} ${commandName}`;
    if (this.#warned.has(route) || this.#warned.size >= MAX_WARNED || !this.#options.isInTransaction()) return;
    this.#warned.add(route);
    this.#options.logger.warn(
      { service, commandName },
      "a command is sent at once inside a transaction, and stays sent if that rolls back: give { transaction: 'ambient' } to send it with the commit; warned about once",
    );
  }
}
