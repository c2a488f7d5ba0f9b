import type { DeadReason } from '../message/handler.ts';
import { HEADER, type Headers, type HeaderValue, type Message, type MessageProperties } from '../message/message.ts';
import { deadQueueName } from '../message/topology.ts';
import { type Failure, MAX_FAILURES, parseFailures } from './failures.ts';
import type { InFlight } from './in-flight.ts';

/** Clients and brokers choke on a header frame near 128 KiB; publishers refuse a block over 64 KiB. */
const MAX_HEADER_BYTES = 60 * 1024;

const MAX_DROPPED_NAMES = 100;

/** The copy that waits for its next run: to `queue` through the default exchange, all else as on the first delivery. */
export function retryCopy(message: InFlight, queue: string): Message {
  return copy(message, queue, {
    [HEADER.attempt]: message.attempt,
    ...(message.isRedriven ? { [HEADER.redriven]: redrivenMark(message) } : {}),
  });
}

export interface DeadLetter {
  readonly reason: DeadReason;
  /** The handler's name, when one was found. */
  readonly handler: string | undefined;
  /** Handler runs that have failed, over all deliveries. */
  readonly failedRuns: number;
}

/** The copy that goes to the dead letters. */
export function deadCopy(message: InFlight, dead: DeadLetter): Message {
  return copy(message, deadQueueName(message.delivery.queue), {
    [HEADER.attempt]: dead.failedRuns,
    [HEADER.reason]: dead.reason,
    ...(dead.handler === undefined ? {} : { [HEADER.handler]: dead.handler }),
  });
}

function copy(message: InFlight, queue: string, ours: Headers): Message {
  const { expiration: _, userId, headers = {}, ...properties } = message.delivery.properties;
  const { CC: cc, 'x-delivery-count': _count, ...kept } = headers;
  return {
    exchange: '',
    routingKey: queue,
    body: message.delivery.body,
    properties: {
      ...properties,
      headers: fit(kept, historyOf(message), {
        ...ours,
        [HEADER.exchange]: message.exchange,
        [HEADER.routingKey]: message.routingKey,
        ...(userId === undefined ? {} : { [HEADER.userId]: userId }),
        ...(cc === undefined ? {} : { [HEADER.cc]: cc }),
        ...(properties.messageId === undefined ? { [HEADER.noMessageId]: true } : {}),
      }),
    } satisfies MessageProperties,
  };
}

/** History gives way first, oldest first; then the sender's largest headers, and their names are noted. */
function fit(theirs: Headers, failures: readonly Failure[], ours: Headers): Headers {
  let history = failures;
  let block: Headers = { ...theirs, ...ours, [HEADER.failures]: JSON.stringify(history) };
  while (headerBytes(block) > MAX_HEADER_BYTES && history.length > 1) {
    history = history.slice(1);
    block = { ...block, [HEADER.failures]: JSON.stringify(history) };
  }
  if (headerBytes(block) <= MAX_HEADER_BYTES) return block;
  const bySize = Object.keys(theirs)
    .filter((name) => name !== HEADER.key)
    .toSorted((a, b) => headerBytes(theirs[b]) - headerBytes(theirs[a]));
  const dropped: string[] = [];
  for (const name of bySize) {
    if (headerBytes(block) <= MAX_HEADER_BYTES) break;
    dropped.push(name);
    const { [name]: _, ...rest } = block;
    block = { ...rest, [HEADER.dropped]: dropped.slice(0, MAX_DROPPED_NAMES) };
  }
  return block;
}

const OURS: ReadonlySet<string> = new Set(Object.values(HEADER));

/** The last resort for a copy that cannot be sent: the sender's own headers are left out, and named. */
export function withoutForeignHeaders(message: Message): Message {
  const headers = Object.entries(message.properties.headers ?? {});
  const kept = Object.fromEntries(headers.filter(([name]) => OURS.has(name)));
  const dropped = headers.map(([name]) => name).filter((name) => !OURS.has(name));
  return {
    ...message,
    properties: { ...message.properties, headers: { ...kept, [HEADER.dropped]: dropped.slice(0, MAX_DROPPED_NAMES) } },
  };
}

/** Upper bound of what the value takes in an AMQP field table. */
export function headerBytes(value: HeaderValue): number {
  if (typeof value === 'string') return 5 + Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 9;
  if (ArrayBuffer.isView(value)) return 5 + value.byteLength;
  if (Array.isArray(value)) return value.reduce((sum: number, item: HeaderValue) => sum + headerBytes(item), 5);
  let sum = 5;
  for (const [name, item] of Object.entries(value)) sum += 1 + Buffer.byteLength(name) + headerBytes(item);
  return sum;
}

function historyOf(message: InFlight): readonly Failure[] {
  return [...parseFailures(message.copyHeaders?.[HEADER.failures]), ...message.failures].slice(-MAX_FAILURES);
}

const redrivenMark = (message: InFlight): HeaderValue =>
  message.copyHeaders?.[HEADER.redriven] ?? new Date().toISOString();
