import type { MessageContext } from '../message/handler.ts';
import { decodeCommand } from '../wire/command.ts';
import { readBodyDeadline } from '../wire/deadline.ts';
import type { JsonObject } from '../wire/envelope.ts';
import { type ConsumerKind, type ConsumerOptions, resolveConsumerOptions } from './kind.ts';
import { type Kinded, kindDecorator, type MethodMark } from './kind-decorator.ts';

/** Takes a command. The arguments are what the sender gave, without `meta`; their type is yours to vouch for. */
export type CommandHandler<A = never> = (args: A, context: MessageContext) => unknown;

export interface CommandConsumer extends MethodMark<CommandHandler> {
  <A = JsonObject>(fn: CommandHandler<A>, options?: ConsumerOptions): Kinded<CommandHandler<A>>;
  (options: ConsumerOptions): MethodMark<CommandHandler>;
}

export const commandKind = (options: ConsumerOptions): ConsumerKind => ({
  name: 'command',
  options: resolveConsumerOptions('commandConsumer', options),
  deadlineOf: readBodyDeadline,
  invoke: (call, incoming, context) => call(decodeCommand(incoming.body).arguments, context),
});

/**
 * Says that a consumer takes a command: `(arguments, context)`. One whose deadline has come is dropped before the
 * handler and counted as expired; `context.deadline` is the deadline, and `context.signal` aborts at it.
 * @example
 * class SmsConsumers {
 *   \@messageRouter.consumer('sms', 'send')
 *   \@commandConsumer
 *   static async send({ phone, text }: Sms, context: MessageContext) {}
 * }
 */
export const commandConsumer = kindDecorator<ConsumerOptions>('commandConsumer', commandKind) as CommandConsumer;
