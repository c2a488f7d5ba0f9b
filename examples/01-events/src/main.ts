import {
  cancelFutureAggregateEvent,
  close,
  publishAggregateEvent,
  publishFutureAggregateEvent,
  transaction,
} from 'svc-comm';
import type { Order } from './consumers.ts';

const place = (order: Order) =>
  publishAggregateEvent({ aggregate: 'order', eventType: 'create.base', payload: order, key: order.customer });
const remind = (id: number, afterMs: number) =>
  publishFutureAggregateEvent({
    aggregate: 'order',
    eventType: 'reminder.due',
    payload: { id },
    eventTime: new Date(Date.now() + afterMs),
    tags: { id },
  });

await transaction(async () => {
  await place({ id: 1, customer: 'ann', total: 120 });
  await remind(1, 1000);
});

// Rolled back: there is no order, and so there is no event.
await transaction(async () => {
  await place({ id: 2, customer: 'ann', total: 80 });
  throw new Error('the card was refused');
}).catch((error: Error) => console.log('rolled back:', error.message));

await transaction(() => place({ id: 3, customer: 'unlucky', total: 45 }));
await transaction(() => place({ id: 4, customer: 'eve', total: -1 }));

await transaction(() => remind(3, 60_000));
const cancelled = await transaction(() =>
  cancelFutureAggregateEvent({ aggregate: 'order', eventType: 'reminder.due', tags: { id: 3 } }),
);
console.log('cancelled:', cancelled);

await close();
