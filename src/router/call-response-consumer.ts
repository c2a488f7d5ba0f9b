import { RemoteError } from '../errors.ts';
import type { MessageContext } from '../message/handler.ts';
import { type CallId, decodeCallResponse, readableId } from '../wire/call.ts';
import { type ConsumerKind, type ConsumerOptions, resolveConsumerOptions } from './kind.ts';
import { type Kinded, kindDecorator, type MethodMark } from './kind-decorator.ts';

/** What is known of an answer besides its data. */
export interface CallResponseInfo {
  /** What `sendCall` returned. */
  readonly callId: CallId;
  /** When it was answered, by the callee's clock. */
  readonly time: Date;
  /** Why the callee failed; then the data is null. */
  readonly error: RemoteError | undefined;
}

/** Takes the answer to a `sendCall`. */
export type CallResponseHandler<D = never> = (data: D, response: CallResponseInfo, context: MessageContext) => unknown;

export interface CallResponseConsumer extends MethodMark<CallResponseHandler> {
  <D = unknown>(fn: CallResponseHandler<D>, options?: ConsumerOptions): Kinded<CallResponseHandler<D>>;
  (options: ConsumerOptions): MethodMark<CallResponseHandler>;
}

const PREFIX = 'call-response.';

const callResponseKind = (options: ConsumerOptions): ConsumerKind => ({
  name: 'call-response',
  options: resolveConsumerOptions('callResponseConsumer', options),
  invoke: (fn, incoming, context) => {
    const { id, time, data, error } = decodeCallResponse(incoming.body);
    const { routingKey } = incoming;
    const callee = routingKey.startsWith(PREFIX) ? routingKey.slice(PREFIX.length) : routingKey;
    const response: CallResponseInfo = {
      callId: readableId(id),
      time,
      error: error && new RemoteError(callee, error.code, error.message),
    };
    return fn(data, response, context);
  },
});

/**
 * Says that a consumer takes answers to `sendCall`: `(data, response, context)`. Bind it to the call's `replyTo` with
 * `call-response.<service>.<method>`. `response.error` is set when the callee failed.
 * @example
 * messageRouter.consumer('orders', 'call-response.pricing.quote')(
 *   callResponseConsumer(async (price: Price, { callId, error }) => {}),
 * );
 */
export const callResponseConsumer = kindDecorator<ConsumerOptions>(
  'callResponseConsumer',
  callResponseKind,
) as CallResponseConsumer;
