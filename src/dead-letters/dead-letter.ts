import { type Failure, parseFailures } from '../consumer/failures.ts';
import { readKey } from '../consumer/original.ts';
import { readCarried } from '../message/carried-properties.ts';
import { HEADER, type Headers, type HeaderValue } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';

/** What is known of a dead letter besides its content. */
export interface DeadLetter {
  /** `message_id`; undefined when the sender gave none. */
  readonly id: string | undefined;
  /** Where it first came from; undefined when it is no copy of ours: then it can be dropped, not redriven. */
  readonly exchange: string | undefined;
  readonly routingKey: string | undefined;
  readonly key: string | undefined;
  readonly reason: string | undefined;
  readonly handler: string | undefined;
  /** Handler runs that failed before it was given up. */
  readonly failedRuns: number;
  /** The last ten, oldest first. */
  readonly failures: readonly Failure[];
  /** When it was given up: ISO 8601, UTC. */
  readonly time: string | undefined;
}

/** Reads the headers that a consumer put on it. */
export function readDeadLetter({ properties }: Delivery): DeadLetter {
  const headers: Headers = properties.headers ?? {};
  const failures = parseFailures(headers[HEADER.failures]);
  const runs = headers[HEADER.attempt];
  const carried = readCarried(headers[HEADER.properties]);
  return {
    id: headers[HEADER.noMessageId] === true ? undefined : (carried.messageId ?? properties.messageId),
    exchange: text(headers[HEADER.exchange]),
    routingKey: text(headers[HEADER.routingKey]),
    key: readKey(properties),
    reason: text(headers[HEADER.reason]),
    handler: text(headers[HEADER.handler]),
    failedRuns: typeof runs === 'number' ? runs : 0,
    failures,
    time: failures.at(-1)?.time,
  };
}

/** Whether its origin is known, so that a handler can see it as it first came. */
export const isOurs = ({ exchange, routingKey }: DeadLetter): boolean =>
  exchange !== undefined && routingKey !== undefined;

const text = (value: HeaderValue): string | undefined => (typeof value === 'string' ? value : undefined);
