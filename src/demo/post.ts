import type { SvcCommService } from '../assemble.ts';
import type { KnexTransaction } from '../database/transactions.ts';
import type { MessageContext } from '../message/handler.ts';
import { eventConsumer } from '../router/event-consumer.ts';
import type { MessageRouter } from '../router/router.ts';
import { type DemoNames, SCENARIO } from './scenario.ts';
import type { Order } from './shop.ts';
import type { Stage } from './stage.ts';

/** Ships what was ordered: another service, with tables of its own. */
export class Post {
  readonly #service: SvcCommService;
  readonly #names: DemoNames;
  readonly #stage: Stage;

  constructor(service: SvcCommService, names: DemoNames, stage: Stage) {
    this.#service = service;
    this.#names = names;
    this.#stage = stage;
  }

  async open(router: MessageRouter): Promise<void> {
    await this.#service.migrate();
    // No unique key: two shipments of one order must be seen, not prevented.
    await this.#service.transaction(async (trx) => {
      const columns = 'number int NOT NULL, attempt int NOT NULL';
      await trx.raw(`CREATE TABLE ??.shipments (${columns})`, [this.#names.postSchema]);
      await trx.raw(`CREATE TABLE ??.reminders (${columns})`, [this.#names.postSchema]);
    });
    const { exchange } = this.#names;
    router.consumer(exchange, 'create.*')(eventConsumer((order: Order, _, context) => this.#ship(order, context)));
    router.consumer(
      exchange,
      'reminder.due',
    )(eventConsumer(({ order }: { order: number }, _, context) => this.#remind(order, context)));
  }

  async #ship({ id }: Order, context: MessageContext): Promise<void> {
    const { attempt } = context;
    await this.#write('shipments', id, context);
    if (id === SCENARIO.jammedOrder && attempt < SCENARIO.attempts) {
      this.#stage.happened('failed', `order ${id}, attempt ${attempt}: the label printer is jammed`);
      throw new Error('the label printer is jammed');
    }
    if (id === SCENARIO.poisonOrder) {
      this.#stage.happened('failed', `order ${id}, attempt ${attempt}: no such address`);
      throw new Error('no such address');
    }
    this.#stage.happened('handled', `order ${id} is shipped${attempt > 1 ? `, at attempt ${attempt}` : ''}`);
  }

  async #remind(order: number, context: MessageContext): Promise<void> {
    await this.#write('reminders', order, context);
    this.#stage.happened('handled', `the customer of order ${order} is reminded`);
  }

  /** In the transaction that holds the message's inbox row, so that it happens once. */
  async #write(table: string, number: number, { transaction, attempt }: MessageContext): Promise<void> {
    const insert = (trx: KnexTransaction) =>
      trx.withSchema(this.#names.postSchema).table(table).insert({ number, attempt });
    await (transaction === undefined ? this.#service.transaction(insert) : insert(transaction as KnexTransaction));
  }
}
