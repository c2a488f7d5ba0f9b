import { v5 as uuidv5, v7 as uuidv7 } from 'uuid';
import { DeadlineExceededError, MessageTooLargeError, RemoteError } from '../../errors.ts';
import type { Incoming, MessageContext, Verdict } from '../../message/handler.ts';
import { MAX_NAME_BYTES, type Message, type MessageProperties } from '../../message/message.ts';
import { stampedProperties } from '../../message/stamp.ts';
import { isOutage } from '../../util/is-outage.ts';
import { maskUrl } from '../../util/mask.ts';
import { codeOf } from '../../util/thrown.ts';
import { callResponseKey, decodeCall, encodeCallResponse, type WireCallResponse } from '../../wire/call.ts';
import { isExpired } from '../../wire/deadline.ts';
import type { AnsweringLayers, AnsweringParts } from '../kind.ts';
import { asError, isCutShort } from './recover.ts';

export interface AnswerOptions {
  /** Whether an answer by message goes with the transaction that the handler runs in. */
  readonly isAtomic: boolean;
  /** Whether a handler that returns after the deadline has failed: what it wrote is rolled back. */
  readonly checksExpiredAfterHandling: boolean;
}

/** Made up for this purpose: the ids of answers are derived in it from those of their calls. */
const ANSWER_NAMESPACE = 'c4a1e8d2-6c0f-5b7e-9d43-2f0a7f6f5e11';

/** More of a failure's text, and of its code, does not travel. */
const MAX_MESSAGE_CHARS = 1024;
const MAX_CODE_CHARS = 255;

/**
 * Answers calls. The inner layer makes the answer of what the handler returned, inside the transaction: one by message
 * goes into the outbox there (`isAtomic`), so that effect and answer are one. The outer layer sends every other answer
 * when the transaction has been committed, and answers what was thrown, when it has been rolled back. If the process
 * dies between commit and such an answer, the caller's deadline ends the call: the copy is a duplicate.
 */
export function answer(options: AnswerOptions, parts: AnsweringParts): AnsweringLayers {
  return {
    inner: (next) =>
      async function answeringHandler(incoming, context) {
        const verdict = await next(incoming, context);
        if (verdict.kind !== 'ack') return verdict;
        if (options.checksExpiredAfterHandling && hasExpired(context, parts)) {
          throw new DeadlineExceededError(context.deadline ?? new Date(), 'the call');
        }
        const message = answerMessage(incoming, { data: verdict.value ?? null }, parts);
        if (message) assertSize(message, parts.limits.bodyBytes);
        const isByMessage = message !== undefined && message.exchange !== '';
        if (!isByMessage || !options.isAtomic || context.transaction === undefined || !parts.inTransaction) {
          return { ...verdict, answer: message };
        }
        await parts.inTransaction.publish(message);
        return verdict;
      },
    outer: (next) =>
      async function answerHandler(incoming, context) {
        let verdict: Verdict;
        try {
          verdict = await next(incoming, context);
        } catch (thrown) {
          return failed(incoming, context, asError(thrown), parts);
        }
        if (verdict.kind === 'ack' && verdict.answer) await send(verdict.answer, context, parts);
        return verdict;
      },
  };
}

/** While what was done can still be undone, and the caller told: after the commit such an answer would go nowhere. */
function assertSize({ body }: Message, limitBytes: number): void {
  if (body.byteLength > limitBytes) throw new MessageTooLargeError('the answer', body.byteLength, limitBytes);
}

/**
 * What was thrown is the answer, unless the call can still be taken again, or nobody waits any more. A `RetryLater` that
 * has no way back goes on as any message's.
 */
async function failed(
  incoming: Incoming,
  context: MessageContext,
  error: Error,
  parts: AnsweringParts,
): Promise<Verdict> {
  const isTriedAgain = isCutShort(context.signal) || isRetriedInTime(incoming, error, context, parts);
  if (isTriedAgain || isNobodysFault(error)) throw error;
  const message = answerMessage(incoming, { data: null, error: wireError(error) }, parts);
  if (hasExpired(context, parts)) {
    context.logger.warn({ error }, 'a call was not done by its deadline; it is dropped');
    return { kind: 'ack', outcome: 'expired' };
  }
  if (message) {
    context.logger.warn({ error }, 'a call failed; its caller is told');
    await send(message, context, parts);
  } else {
    if (isRetryLater(error)) throw error;
    context.logger.warn({ error }, 'a call failed; it says no way back');
  }
  return { kind: 'ack', outcome: 'failed', value: error };
}

/** A call that cannot be read, other than for its contract, has nobody to be answered to; what infrastructure did is tried again. */
function isNobodysFault(error: Error): boolean {
  const code = codeOf(error);
  const isUnreadable = code === 'SVC_COMM_MALFORMED_MESSAGE' && !('reason' in error && error.reason === 'contract');
  return isUnreadable || isOutage(error);
}

const isRetryLater = (error: Error): error is Error & { readonly delayMs: unknown } =>
  codeOf(error) === 'SVC_COMM_RETRY_LATER' && 'delayMs' in error;

/** By what it waits for really: not with its last attempt, nor in a retry queue that is longer than the time left. */
function isRetriedInTime(
  incoming: Incoming,
  error: Error,
  { deadline }: MessageContext,
  { now, nextRunMs }: AnsweringParts,
): boolean {
  if (!isRetryLater(error)) return false;
  const delayMs = nextRunMs(incoming, Number(error.delayMs));
  return delayMs !== undefined && (deadline === undefined || now() + delayMs < deadline.getTime());
}

const hasExpired = ({ deadline }: MessageContext, { now, skewToleranceMs }: AnsweringParts): boolean =>
  isExpired(deadline, now(), skewToleranceMs);

/** Its failure does not undo what was done: the caller's deadline ends the call. */
async function send(message: Message, context: MessageContext, parts: AnsweringParts): Promise<void> {
  const { publisher, onUnanswered, now } = parts;
  const { deadline, signal } = context;
  const timeout = deadline && { timeoutMs: Math.max(1, deadline.getTime() - now()) };
  try {
    await publisher.publish(message, { signal, ...timeout });
  } catch (error) {
    onUnanswered();
    const { exchange, routingKey } = message;
    context.logger.warn({ error, replyTo: { exchange, routingKey } }, 'an answer reached nobody');
  }
}

/** undefined when the call says no way back. */
function answerMessage(
  incoming: Incoming,
  answer: Pick<WireCallResponse, 'data' | 'error'>,
  { appId, now, limits }: AnsweringParts,
): Message | undefined {
  const { properties } = incoming.delivery;
  const { id, replyTo } = decodeCall(incoming.body);
  const direct = properties.replyTo ?? '';
  if (direct === '' && replyTo === '') return undefined;
  // The same for each copy of the call, so that a second answer is known for what it is.
  const messageId = properties.messageId ? uuidv5(properties.messageId, ANSWER_NAMESPACE) : uuidv7();
  return {
    exchange: direct === '' ? replyTo : '',
    routingKey: direct === '' ? callResponseKey(incoming.exchange, incoming.routingKey) : direct,
    body: Buffer.from(encodeCallResponse({ id, time: new Date(now()), ...answer }, limits)),
    isExchangeForeign: true,
    properties: { ...stampedProperties({ messageId, appId, now: now() }), ...correlationOf(properties) },
  };
}

/** The caller's own mark, also one that nothing else can carry: raw numbers, say, hold NULs. */
function correlationOf({ correlationId }: MessageProperties): Pick<MessageProperties, 'correlationId'> {
  return correlationId === undefined || Buffer.byteLength(correlationId) > MAX_NAME_BYTES ? {} : { correlationId };
}

function wireError(error: Error): NonNullable<WireCallResponse['error']> {
  if (error instanceof RemoteError) return { code: error.remoteCode, message: error.message };
  return {
    code: String(codeOf(error) || error.name).slice(0, MAX_CODE_CHARS),
    message: maskUrl(error.message).slice(0, MAX_MESSAGE_CHARS),
  };
}
