import type { SvcCommService } from '../assemble.ts';
import type { KnexTransaction } from '../database/transactions.ts';
import { sleep } from '../util/sleep.ts';
import { type DemoNames, SCENARIO } from './scenario.ts';
import type { Stage } from './stage.ts';

export interface Order {
  readonly id: number;
  readonly customer: string;
}

/** Writes orders, each with its event in one transaction, and plans reminders. */
export class Shop {
  readonly #service: SvcCommService;
  readonly #names: DemoNames;
  readonly #stage: Stage;

  constructor(service: SvcCommService, names: DemoNames, stage: Stage) {
    this.#service = service;
    this.#names = names;
    this.#stage = stage;
  }

  async open(): Promise<void> {
    await this.#service.migrate();
    await this.#service.transaction((trx) =>
      trx.raw('CREATE TABLE ??.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL)', [
        this.#names.shopSchema,
      ]),
    );
  }

  async takeOrders(signal: AbortSignal): Promise<void> {
    for (let n = 1; n <= SCENARIO.orders; n++) {
      signal.throwIfAborted();
      await this.#takeOrder(n);
      if (n === SCENARIO.reminded.order) await this.#remind(SCENARIO.reminded);
      if (n === SCENARIO.cancelled.order) await this.#remind(SCENARIO.cancelled);
      if (n === SCENARIO.cancelled.order + 10) await this.#cancelReminder(SCENARIO.cancelled.order);
      await sleep(SCENARIO.paceMs, signal);
    }
  }

  async #takeOrder(n: number): Promise<void> {
    const isLost = n % SCENARIO.rollBackEvery === 0;
    try {
      const order = await this.#service.transaction((trx) => this.#write(trx, n, isLost));
      this.#stage.happened('written', `order ${order.id} and its event, in one transaction`);
    } catch (error) {
      if (!(error instanceof CardRefused)) throw error;
      this.#stage.happened('rolled back', `an order whose ${error.message}; its event is gone with it`);
    }
  }

  async #write(trx: KnexTransaction, n: number, isLost: boolean): Promise<Order> {
    const customer = `customer-${n % SCENARIO.customers}`;
    const [row] = await trx.withSchema(this.#names.shopSchema).table('orders').insert({ customer }).returning('id');
    const order: Order = { id: Number(row.id), customer };
    await this.#service.publishAggregateEvent({
      aggregate: this.#names.exchange,
      eventType: 'create.base',
      payload: order,
      // Events of one customer are handled in their order; those that fail wait apart, so that nobody waits for them.
      ...(order.id !== SCENARIO.jammedOrder && order.id !== SCENARIO.poisonOrder && { key: customer }),
    });
    if (isLost) throw new CardRefused();
    return order;
  }

  async #remind({ order, afterMs }: { readonly order: number; readonly afterMs: number }): Promise<void> {
    const eventTime = new Date(Date.now() + afterMs);
    await this.#service.publishFutureAggregateEvent(
      { aggregate: this.#names.exchange, eventType: 'reminder.due', payload: { order }, eventTime, tags: { order } },
      { transaction: 'own' },
    );
    this.#stage.happened('planned', `a reminder for order ${order}, due in ${afterMs / 1000} s`);
  }

  async #cancelReminder(order: number): Promise<void> {
    const filter = { aggregate: this.#names.exchange, eventType: 'reminder.due', tags: { order } };
    const count = await this.#service.cancelFutureAggregateEvent(filter, { transaction: 'own' });
    this.#stage.happened('cancelled', `${count} reminder of order ${order}`);
  }
}

class CardRefused extends Error {
  constructor() {
    super('card was refused');
  }
}
