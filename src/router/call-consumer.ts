import type { MessageContext } from '../message/handler.ts';
import { type CallId, decodeCall, readableId } from '../wire/call.ts';
import { readBodyDeadline } from '../wire/deadline.ts';
import { type ConsumerKind, type ConsumerOptions, resolveConsumerOptions } from './kind.ts';
import { type Kinded, kindDecorator, type MethodMark } from './kind-decorator.ts';
import { answer } from './middleware/answer.ts';

/** What is known of a call besides its data. */
export interface CallInfo {
  /** As the caller made it: a peer's may be a number; one beyond 2^53 is text here. */
  readonly callId: CallId;
  /** When it was made, by the caller's clock. */
  readonly time: Date;
  readonly service: string;
  readonly method: string;
}

/** Takes a call; what it returns, or its promise resolves to, is the answer. */
export type CallHandler<D = never, R = unknown> = (data: D, call: CallInfo, context: MessageContext) => R;

export interface CallConsumerOptions extends ConsumerOptions {
  /**
   * Whether an answer that goes by message is written into the handler's transaction, so that its effect and its answer
   * are one. No effect without inbox, nor on answers to callers that wait (`call()`): those are sent right after the
   * commit. @default true
   */
  readonly atomic?: boolean;
  /** Whether a handler that returns after the deadline has failed: what it wrote is rolled back. @default false */
  readonly checkExpiredAfterHandling?: boolean;
}

export interface CallConsumer extends MethodMark<CallHandler> {
  // What it returns stays known: a contract holds it to its output.
  <D = unknown, R = unknown>(fn: CallHandler<D, R>, options?: CallConsumerOptions): Kinded<CallHandler<D, R>>;
  (options: CallConsumerOptions): MethodMark<CallHandler>;
}

export const callKind = (options: CallConsumerOptions): ConsumerKind => ({
  name: 'call',
  options: resolveConsumerOptions('callConsumer', options, ['atomic', 'checkExpiredAfterHandling']),
  deadlineOf: readBodyDeadline,
  answering: (parts) => {
    const { atomic = true, checkExpiredAfterHandling = false } = options;
    return answer({ isAtomic: atomic, checksExpiredAfterHandling: checkExpiredAfterHandling }, parts);
  },
  invoke: (fn, incoming, context) => {
    const { id, time, data } = decodeCall(incoming.body);
    const call: CallInfo = { callId: readableId(id), time, service: incoming.exchange, method: incoming.routingKey };
    return fn(data, call, context);
  },
});

/**
 * Says that a consumer answers calls: `(data, call, context)` → the answer. It serves callers that wait (`call()`) and
 * those that are answered by message (`sendCall`), without knowing which. What it throws is the answer too: the caller
 * gets code and message (RemoteError), no stack; the message is not tried again, unless RetryLater asks for it in time.
 * One whose deadline has come is dropped before the handler and counted as expired.
 * @example
 * messageRouter.consumer('pricing', 'quote')(callConsumer(async ({ sku }: Question) => prices.of(sku)));
 */
export const callConsumer = kindDecorator<CallConsumerOptions>('callConsumer', callKind) as CallConsumer;
