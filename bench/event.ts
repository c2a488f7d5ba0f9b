import { randomUUID } from 'node:crypto';

/** What a shop would tell of an order. */
export interface Payload {
  readonly id: number;
  readonly [field: string]: unknown;
}

export const EVENT_BYTES = 987;
export const EVENT_TYPE = 'create.base';

export function samplePayload(n: number, note = ''): Payload {
  return {
    id: n,
    customer: { id: 4711, name: 'Ann Example', email: 'ann@example.com', tags: ['new', 'vip', 'newsletter'] },
    lines: Array.from({ length: 6 }, (_, i) => ({
      sku: `SKU-${1000 + i}`,
      name: `Article number ${i}`,
      quantity: i + 1,
      price: 9.5,
    })),
    total: 208.95,
    note,
  };
}

const encoded = (aggregate: string, payload: Payload): string =>
  JSON.stringify({
    eventId: randomUUID(),
    eventTime: new Date().toISOString(),
    eventType: EVENT_TYPE,
    aggregate,
    payload,
  });

/** An event as it is on the wire, of EVENT_BYTES. */
export function sampleEvent(aggregate: string): string {
  const room = EVENT_BYTES - encoded(aggregate, samplePayload(1)).length;
  return encoded(aggregate, samplePayload(1, 'x'.repeat(room)));
}

/** The payload of `sampleEvent`. */
export const fullPayload = (aggregate: string): Payload => JSON.parse(sampleEvent(aggregate)).payload;
