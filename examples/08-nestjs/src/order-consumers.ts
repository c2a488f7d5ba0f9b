import { Inject, Injectable, Logger } from '@nestjs/common';
import { type EventInfo, eventConsumer, type MessageContext, messageRouter } from 'svc-comm';
import type { EntityManager } from 'typeorm';
import { type Order, Shipment } from './order.ts';

@Injectable()
export class OrderConsumers {
  constructor(@Inject(Logger) private readonly logger: Logger) {}

  @messageRouter.consumer('order', 'create.*')
  @eventConsumer
  async onOrder(order: Order, _event: EventInfo, context: MessageContext): Promise<void> {
    // In the transaction that remembers the message: a copy of it finds that it is done.
    await (context.transaction as EntityManager).save(Shipment, { orderId: order.id });
    this.logger.log(`shipping order ${order.id}: ${order.sku}, for ${context.correlationId}`);
  }
}
