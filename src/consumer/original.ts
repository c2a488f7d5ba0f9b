import { entriesOf, readCarried } from '../message/carried-properties.ts';
import { HEADER, type Headers, type HeaderValue, MAX_NAME_BYTES, type MessageProperties } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';
import { retryQueueName } from '../message/topology.ts';
import { storable } from '../util/storable.ts';

/** Where a message first came from, and what has happened to it since. */
export interface Origin {
  readonly exchange: string;
  readonly routingKey: string;
  /** Handler runs that have failed in earlier deliveries. */
  readonly failedRuns: number;
  readonly isRedriven: boolean;
}

const NO_HEADERS: Headers = Object.freeze({});

/**
 * Reads the headers that we put on copies. They count only on what came to this queue through the default exchange, as
 * our copies do; on a message of any other exchange they are a sender's claim, and are passed over.
 * A dead letter that was moved back by the broker's own tools has no redriven mark, but still its reason: that counts as
 * redriven too, and either way its runs start anew.
 * @returns undefined when the delivery is no copy of ours
 */
export function readOrigin(delivery: Delivery): Origin | undefined {
  if (delivery.exchange !== '' || delivery.routingKey !== delivery.queue) return undefined;
  const headers = delivery.properties.headers;
  const exchange = headers?.[HEADER.exchange];
  const routingKey = headers?.[HEADER.routingKey];
  if (!isName(exchange) || !isName(routingKey)) return undefined;
  const isDeadLetter = isPresent(headers?.[HEADER.reason]);
  const runs = headers?.[HEADER.attempt];
  return {
    exchange,
    routingKey,
    failedRuns: !isDeadLetter && typeof runs === 'number' && Number.isSafeInteger(runs) && runs > 0 ? runs : 0,
    isRedriven: isDeadLetter || isPresent(headers?.[HEADER.redriven]),
  };
}

/** A name of AMQP once it was read: each of its bytes is one character at most. */
const isName = (value: HeaderValue): value is string => typeof value === 'string' && value.length <= MAX_NAME_BYTES;

/** An index row of PostgreSQL holds no more, and its text no NUL. */
const MAX_KEY_LENGTH = 512;

/** Header `svc-comm-key`. Some clients send it as a number. One that the inbox could not keep is replaced by its hash. */
export function readKey(properties: MessageProperties): string | undefined {
  const key = properties.headers?.[HEADER.key];
  if (typeof key === 'number') return String(key);
  if (typeof key !== 'string' || key === '') return undefined;
  return storable(key, MAX_KEY_LENGTH);
}

/**
 * A copy of ours, seen as the first delivery was: its properties and headers are without ours, and without what the
 * broker notes on a message that waited in one of our retry queues. `expiration` is not brought back: it was for the
 * first way to the queue.
 */
export class CopyDelivery implements Delivery {
  readonly #copy: Delivery;
  #properties: MessageProperties | undefined;

  constructor(copy: Delivery) {
    this.#copy = copy;
  }

  get properties(): MessageProperties {
    this.#properties ??= originalProperties(this.#copy);
    return this.#properties;
  }
  get queue(): string {
    return this.#copy.queue;
  }
  get exchange(): string {
    return this.#copy.exchange;
  }
  get routingKey(): string {
    return this.#copy.routingKey;
  }
  get redelivered(): boolean {
    return this.#copy.redelivered;
  }
  get body(): Buffer {
    return this.#copy.body;
  }
  get lost(): AbortSignal {
    return this.#copy.lost;
  }
  ack(): boolean {
    return this.#copy.ack();
  }
  release(): boolean {
    return this.#copy.release();
  }
}

function originalProperties({ properties, queue }: Delivery): MessageProperties {
  const headers = properties.headers ?? NO_HEADERS;
  const { [HEADER.userId]: userId, [HEADER.noMessageId]: noMessageId } = headers;
  return {
    ...properties,
    headers: originalHeaders(headers, queue),
    ...(isName(userId) ? { userId } : {}),
    ...(noMessageId === true ? { messageId: undefined } : {}),
    ...readCarried(headers[HEADER.properties]),
  };
}

/** What only we say, and only of copies. */
export const COPY_HEADERS: ReadonlySet<string> = new Set([
  HEADER.exchange,
  HEADER.routingKey,
  HEADER.attempt,
  HEADER.failures,
  HEADER.reason,
  HEADER.handler,
  HEADER.redriven,
  HEADER.cc,
  HEADER.deaths,
  HEADER.userId,
  HEADER.noMessageId,
  HEADER.properties,
  HEADER.dropped,
]);

function originalHeaders(headers: Headers, queue: string): Headers {
  const original: Record<string, HeaderValue> = Object.fromEntries(
    entriesOf(headers[HEADER.deaths]).filter(([name]) => isDeathMark(name)),
  );
  const retryQueues = retryQueueName(queue, 0).slice(0, -1);
  for (const [name, value] of Object.entries(headers)) {
    if (COPY_HEADERS.has(name) || name === 'x-delivery-count') continue;
    if (name === 'x-death') {
      const deaths = Array.isArray(value) ? value.filter((death) => !isDeathIn(death, retryQueues)) : [];
      if (deaths.length > 0) original[name] = deaths;
    } else if (!isMarkOfDeathIn(name, headers, retryQueues)) original[name] = value;
  }
  if (isPresent(headers[HEADER.cc])) original.CC = headers[HEADER.cc];
  return original;
}

/** What the broker notes of a message that dies in a queue, and reads when it dies again. */
export const isDeathMark = (name: string): boolean => name === 'x-death' || /^x-(?:first|last)-death-/.test(name);

function isDeathIn(death: unknown, retryQueues: string): boolean {
  const queue = typeof death === 'object' && death !== null ? (death as { queue?: unknown }).queue : undefined;
  return typeof queue === 'string' && queue.startsWith(retryQueues);
}

/** `x-first-death-queue` and its like (`-exchange`, `-reason`), when the queue is one of our retry queues. */
function isMarkOfDeathIn(name: string, headers: Headers, retryQueues: string): boolean {
  const which = /^x-(?:first|last)-death-/.exec(name)?.[0];
  if (which === undefined) return false;
  const queue = headers[`${which}queue`];
  return typeof queue === 'string' && queue.startsWith(retryQueues);
}

const isPresent = (value: HeaderValue): boolean => value !== undefined && value !== null;
