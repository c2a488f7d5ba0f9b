import type { MessageContext } from '../message/handler.ts';
import type { ConsumerKind, ConsumerOptions } from './kind.ts';
import { resolveConsumerOptions } from './kind.ts';
import { type Kinded, kindDecorator, type MethodMark } from './kind-decorator.ts';

/** Takes the message as it is. @param body the parsed JSON */
export type RawHandler = (routingKey: string, body: unknown, context: MessageContext) => unknown;

export interface RawConsumer extends MethodMark<RawHandler> {
  (fn: RawHandler, options?: ConsumerOptions): Kinded<RawHandler>;
  (options: ConsumerOptions): MethodMark<RawHandler>;
}

const rawKind = (options: ConsumerOptions): ConsumerKind => ({
  name: 'raw',
  options: resolveConsumerOptions('rawConsumer', options),
  // Most that is taken so are events.
  hasEventId: true,
  invoke: (call, incoming, context) => call(incoming.routingKey, incoming.body, context),
});

/** What a consumer is when nothing else is said of it. */
export const DEFAULT_KIND: ConsumerKind = Object.freeze(rawKind({}));

/**
 * Says that a consumer takes `(routingKey, body, context)`. That is so without it too; it is there to carry options.
 * @example messageRouter.consumer('audit')(rawConsumer(async (routingKey, body) => {}, { inbox: false }));
 */
export const rawConsumer = kindDecorator<ConsumerOptions>('rawConsumer', rawKind) as RawConsumer;
