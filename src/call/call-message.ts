import { InvalidNameError } from '../errors.ts';
import type { Message } from '../message/message.ts';
import { type Stamp, stampedProperties } from '../message/stamp.ts';
import { assertName } from '../util/topic-pattern.ts';
import { callBody } from '../wire/call.ts';
import { expirationFor } from '../wire/deadline.ts';

export interface OutgoingCall {
  readonly service: string;
  readonly method: string;
  /** See `encodeQuestion`. */
  readonly data: string;
  readonly callId: string;
  /** The exchange that the answer goes to; empty: there is another way. */
  readonly replyTo: string;
  readonly deadline: Date | undefined;
}

/** @throws InvalidNameError for a service or method that AMQP cannot carry */
export function assertCallee(service: string, method: string): void {
  assertName('service', service);
  if (service === '') throw new InvalidNameError('service', service, 'is empty: it is the exchange of the service');
  assertName('method', method);
}

/** Outside of any correlation it carries its own id as the correlation id. */
export function callMessage(call: OutgoingCall, stamp: Omit<Stamp, 'messageId'>): Message {
  const { service, method, callId, replyTo, deadline, data } = call;
  const time = new Date(stamp.now);
  const expiration = expirationFor(deadline && deadline.getTime() - stamp.now);
  const stamped = stampedProperties({ ...stamp, messageId: callId });
  const properties = { ...stamped, correlationId: stamped.correlationId ?? callId };
  return {
    exchange: service,
    routingKey: method,
    body: Buffer.from(callBody(data, { id: callId, replyTo, time, deadline })),
    // Whose time is over is not waited for any more.
    properties: expiration === undefined || expiration === 'expired' ? properties : { ...properties, expiration },
  };
}
