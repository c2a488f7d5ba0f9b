import type { MessageContext } from '../message/handler.ts';
import { decodeEvent, type EventInfo } from '../wire/event.ts';
import { type ConsumerKind, type ConsumerOptions, resolveConsumerOptions } from './kind.ts';
import { type Kinded, kindDecorator, type MethodMark } from './kind-decorator.ts';

/** Takes an event. The payload is what the sender wrote; its type is yours to vouch for. */
export type EventHandler<P = never> = (payload: P, event: EventInfo, context: MessageContext) => unknown;

export interface EventConsumer extends MethodMark<EventHandler> {
  <P>(fn: EventHandler<P>, options?: ConsumerOptions): Kinded<EventHandler<P>>;
  (options: ConsumerOptions): MethodMark<EventHandler>;
}

export const eventKind = (options: ConsumerOptions): ConsumerKind => ({
  name: 'event',
  options: resolveConsumerOptions('eventConsumer', options),
  hasEventId: true,
  invoke: (call, incoming, context) => {
    const { payload, event } = decodeEvent(incoming.body);
    return call(payload, event, context);
  },
});

/**
 * Says that a consumer takes an event: `(payload, event, context)`. A body that is no event goes to the dead letters.
 * @example
 * class UserConsumers {
 *   \@messageRouter.consumer('user', 'update.*')
 *   \@eventConsumer
 *   static async onUser(payload: UserPayload, event: EventInfo, context: MessageContext) {}
 * }
 * messageRouter.consumer('user', 'deleted.#')(eventConsumer(async (payload: UserPayload) => {}, { inbox: false }));
 */
export const eventConsumer = kindDecorator<ConsumerOptions>('eventConsumer', eventKind) as EventConsumer;
