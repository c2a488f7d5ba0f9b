import { carryUnwritable } from '../message/carried-properties.ts';
import type { DeadReason } from '../message/handler.ts';
import { HEADER, type Headers, type HeaderValue, type Message, type MessageProperties } from '../message/message.ts';
import { deadQueueName } from '../message/topology.ts';
import { type Failure, lastFailures, parseFailures } from './failures.ts';
import type { InFlight } from './in-flight.ts';
import { COPY_HEADERS, isDeathMark } from './original.ts';

/** Clients and brokers choke on a header frame near 128 KiB; publishers refuse a block over 64 KiB. */
const MAX_HEADER_BYTES = 60 * 1024;

const MAX_DROPPED_NAMES = 100;
const MAX_DROPPED_BYTES = 4 * 1024;
/** Of a time. */
const MAX_MARK_CHARS = 40;

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
  const { written, carried } = carryUnwritable(properties);
  return {
    exchange: '',
    routingKey: queue,
    body: message.delivery.body,
    properties: {
      ...written,
      headers: fit(theirHeaders(headers, message.key), historyOf(message), {
        ...ours,
        ...keyHeader(headers[HEADER.key], message.key),
        ...droppedHeader(droppedBefore(message)),
        [HEADER.exchange]: message.exchange,
        [HEADER.routingKey]: message.routingKey,
        ...(userId === undefined ? {} : { [HEADER.userId]: userId }),
        ...(carried === undefined ? {} : { [HEADER.properties]: carried }),
        ...(properties.messageId === undefined ? { [HEADER.noMessageId]: true } : {}),
      }),
    } satisfies MessageProperties,
  };
}

/**
 * Headers of the sender's that a copy keeps while there is room. What it says there in our place would be believed on the
 * copy. What it says in the broker's place is put where the broker does not look: by an `x-death` it drops a copy that
 * comes out of a retry queue as one that goes in a circle, and one that it cannot read is the end of its dead-lettering.
 */
function theirHeaders({ CC: cc, 'x-delivery-count': _count, ...headers }: Headers, key: string | undefined): Headers {
  const isTheirs = ([name]: [string, HeaderValue]) =>
    !COPY_HEADERS.has(name) && !(name === HEADER.key && key !== undefined);
  const theirs = Object.entries(headers).filter(isTheirs);
  const deaths = theirs.filter(([name]) => isDeathMark(name));
  return {
    ...Object.fromEntries(theirs.filter(([name]) => !isDeathMark(name))),
    ...(cc === undefined ? {} : { [HEADER.cc]: cc }),
    ...(deaths.length === 0 ? {} : { [HEADER.deaths]: Object.fromEntries(deaths) }),
  };
}

/** As it came, where that can be written; else as it was read. */
function keyHeader(came: HeaderValue, key: string | undefined): Headers {
  if (key === undefined) return {};
  return { [HEADER.key]: Number.isSafeInteger(came) ? came : key };
}

/** History gives way first, oldest first; then the sender's largest headers, and their names are noted. */
function fit(theirs: Headers, failures: readonly Failure[], ours: Headers): Headers {
  const theirBytes = headerBytes(theirs);
  let history = failures;
  const own = (): Headers => ({ ...ours, [HEADER.failures]: JSON.stringify(history) });
  const excess = () => theirBytes + headerBytes(own()) - MAX_HEADER_BYTES;
  while (excess() > 0 && history.length > 1) history = history.slice(1);
  const dropped = largest(theirs, excess());
  if (dropped.size === 0) return { ...theirs, ...own() };
  const kept = Object.entries(theirs).filter(([name]) => !dropped.has(name));
  return { ...Object.fromEntries(kept), ...own(), ...droppedHeader([...namesIn(ours[HEADER.dropped]), ...dropped]) };
}

/** Those that have to go for the others to have so many bytes less, and room for the names. */
function largest(headers: Headers, excess: number): ReadonlySet<string> {
  const dropped = new Set<string>();
  if (excess <= 0) return dropped;
  const bySize = Object.entries(headers)
    .map(([name, value]) => ({ name, bytes: 1 + Buffer.byteLength(name) + headerBytes(value) }))
    .toSorted((a, b) => b.bytes - a.bytes);
  let left = excess + MAX_DROPPED_BYTES;
  for (const { name, bytes } of bySize) {
    if (left <= 0) break;
    dropped.add(name);
    left -= bytes;
  }
  return dropped;
}

/** What is theirs under a name of ours. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  [HEADER.cc, 'CC'],
  [HEADER.deaths, 'x-death'],
]);

function droppedHeader(names: readonly string[]): Headers {
  let left = MAX_DROPPED_BYTES;
  const noted: string[] = [];
  for (const name of names.slice(0, MAX_DROPPED_NAMES)) {
    const theirs = ELSEWHERE.get(name) ?? name;
    left -= headerBytes(theirs);
    if (left >= 0) noted.push(theirs);
  }
  return noted.length === 0 ? {} : { [HEADER.dropped]: noted };
}

const droppedBefore = (message: InFlight): string[] => namesIn(message.copyHeaders?.[HEADER.dropped]);

const namesIn = (header: HeaderValue): string[] =>
  Array.isArray(header) ? header.filter((name) => typeof name === 'string') : [];

/**
 * For a copy that cannot be sent: the sender's own headers are left out, and named. What is left can be written, whatever
 * came.
 */
export function withoutForeignHeaders(message: Message): Message {
  const headers = Object.entries(message.properties.headers ?? {});
  const isOurs = ([name, value]: [string, HeaderValue]) =>
    name === HEADER.properties || (isPlain(value) && (COPY_HEADERS.has(name) || USEFUL_ALONE.has(name)));
  const dropped = headers.filter((header) => !isOurs(header) && header[0] !== HEADER.dropped).map(([name]) => name);
  const before = namesIn(message.properties.headers?.[HEADER.dropped]);
  const kept = Object.fromEntries(headers.filter(isOurs));
  return {
    ...message,
    properties: { ...message.properties, headers: { ...kept, ...droppedHeader([...before, ...dropped]) } },
  };
}

/** Where that is too much still: a broker with small frames. Of the failures only the last is left. */
export function withoutHistory(message: Message): Message {
  const { [HEADER.dropped]: _, [HEADER.failures]: failures, ...headers } = message.properties.headers ?? {};
  const last = JSON.stringify(parseFailures(failures).slice(-1));
  return { ...message, properties: { ...message.properties, headers: { ...headers, [HEADER.failures]: last } } };
}

const USEFUL_ALONE: ReadonlySet<string> = new Set([HEADER.key, HEADER.traceparent]);

const isPlain = (value: HeaderValue): boolean =>
  typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value);

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
  return lastFailures([...parseFailures(message.copyHeaders?.[HEADER.failures]), ...message.failures]);
}

function redrivenMark(message: InFlight): HeaderValue {
  const mark = message.copyHeaders?.[HEADER.redriven];
  return typeof mark === 'string' && mark.length <= MAX_MARK_CHARS ? mark : new Date().toISOString();
}
