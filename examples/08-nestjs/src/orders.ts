import { Body, Controller, Inject, Injectable, Post } from '@nestjs/common';
import type { SvcCommService } from 'svc-comm';
import { DataSource } from 'typeorm';
import { SVC_COMM } from './messaging.ts';
import { Order } from './order.ts';

@Injectable()
export class Orders {
  constructor(
    @Inject(DataSource) private readonly dataSource: DataSource,
    @Inject(SVC_COMM) private readonly service: SvcCommService,
  ) {}

  /** The row and its event: both, or neither. */
  place(sku: string): Promise<Order> {
    return this.dataSource.transaction(async (manager) => {
      const order = await manager.save(Order, { sku });
      const event = { aggregate: 'order', eventType: 'create.base', payload: order };
      await this.service.publishAggregateEvent(event, { transaction: manager });
      if (sku === 'sold-out') throw new Error('sold out: neither the row nor the event is there');
      return order;
    });
  }
}

@Controller('orders')
export class OrdersController {
  constructor(@Inject(Orders) private readonly orders: Orders) {}

  @Post()
  place(@Body() { sku }: { sku: string }): Promise<Order> {
    return this.orders.place(sku);
  }
}
