import { HEADER, type Message } from '../message/message.ts';
import type { Delivery } from '../message/subscriber.ts';

/**
 * The copy that goes back to work: to the queue through the default exchange, as if it had never failed. Where it first
 * came from and its history stay on it; its attempts begin anew.
 */
export function redrivenCopy({ body, properties }: Delivery, queue: string, now: Date): Message {
  const { expiration: _, headers = {}, ...others } = properties;
  const {
    [HEADER.reason]: _reason,
    [HEADER.handler]: _handler,
    [HEADER.attempt]: _attempt,
    'x-delivery-count': _count,
    ...kept
  } = headers;
  return {
    exchange: '',
    routingKey: queue,
    body,
    properties: { ...others, deliveryMode: 2, headers: { ...kept, [HEADER.redriven]: now.toISOString() } },
  };
}
