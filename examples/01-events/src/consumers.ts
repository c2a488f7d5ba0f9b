import {
  type EventInfo,
  eventConsumer,
  type MessageContext,
  messageRouter,
  publishAggregateEvent,
  Reject,
} from 'svc-comm';

export interface Order {
  readonly id: number;
  readonly customer: string;
  readonly total: number;
}

export class OrderConsumers {
  @messageRouter.consumer('order', 'create.*')
  @eventConsumer
  static async onOrder(order: Order, _event: EventInfo, context: MessageContext) {
    if (order.total < 0) throw new Reject(`order ${order.id} has a negative total`);
    // The first run fails, and takes nothing with it: the next sees the world as it was.
    if (order.customer === 'unlucky' && context.attempt === 1) throw new Error('the warehouse does not answer');
    console.log(`order ${order.id} of ${order.customer}, attempt ${context.attempt}`);
    // Part of this handler's transaction: published if and only if it commits.
    await publishAggregateEvent({
      aggregate: 'invoice',
      eventType: 'create.base',
      payload: order,
      key: order.customer,
    });
  }

  @messageRouter.consumer('invoice', 'create.#')
  @eventConsumer
  static async onInvoice({ id, total }: Order) {
    console.log(`invoice for order ${id}: ${total}`);
  }

  @messageRouter.consumer('order', 'reminder.due')
  @eventConsumer
  static async onReminder({ id }: Pick<Order, 'id'>) {
    console.log(`order ${id} waits to be paid`);
  }
}
