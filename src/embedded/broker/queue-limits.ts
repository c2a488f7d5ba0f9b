import type { Message } from './message.ts';
import type { QueueSettings } from './queue-arguments.ts';
import type { ReadyMessages } from './ready-messages.ts';

const NONE = Number.POSITIVE_INFINITY;

/** Whether the ready messages, with `next` if given, are more than the queue may hold. Unacked ones do not count. */
export function isOverLimit(settings: QueueSettings, ready: ReadyMessages, next?: Message): boolean {
  const length = ready.length + (next ? 1 : 0);
  const bytes = ready.bytes + (next?.bodyBytes ?? 0);
  return length > (settings.maxLength ?? NONE) || bytes > (settings.maxLengthBytes ?? NONE);
}

/** The shorter of the queue's and the message's time to live, ms; `undefined` for ever. */
export function timeToLive({ ttlMs }: QueueSettings, message: Message): number | undefined {
  if (message.ttlMs === undefined) return ttlMs;
  return Math.min(message.ttlMs, ttlMs ?? NONE);
}

/** Whether a message came back more often than the queue's delivery limit allows: only quorum queues have one. */
export const isSpent = ({ type, deliveryLimit }: QueueSettings, returns: number): boolean =>
  type === 'quorum' && deliveryLimit !== undefined && returns > deliveryLimit;
