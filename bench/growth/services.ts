import { setTimeout as sleep } from 'node:timers/promises';
import type { createService as CreateService } from '../../src/index.ts';
import { BenchBroker } from '../broker.ts';
import { compiled } from '../compiled.ts';
import { BenchDatabase } from '../database.ts';
import { EVENT_TYPE, type Payload, samplePayload } from '../event.ts';
import { type Run, Stopwatch } from '../harness.ts';
import type { Cost } from './curve.ts';

type Service = ReturnType<typeof CreateService>;

/** Relay, consumer and committers of one service, on a queue that can be filled and emptied. */
export class GrowthWorld {
  readonly broker: BenchBroker;
  readonly database: BenchDatabase;
  readonly #service: Service;
  #handled = 0;

  private constructor(broker: BenchBroker, database: BenchDatabase, service: Service) {
    this.broker = broker;
    this.database = database;
    this.#service = service;
  }

  static async open(): Promise<GrowthWorld> {
    const { createService, eventConsumer } = await compiled('index');
    const broker = await BenchBroker.open('growth');
    const database = await BenchDatabase.open('growth');
    await broker.queue(broker.name);
    broker.owns(broker.name);
    const { url: databaseUrl, schema } = database;
    const settings = { appId: broker.name, brokerUrl: broker.url, queue: broker.name, databaseUrl, schema };
    const service = createService({ ...settings, logLevel: 'error' });
    const world = new GrowthWorld(broker, database, service);
    service.messageRouter.consumer(
      broker.name,
      'create.*',
    )(
      eventConsumer(
        (_payload: Payload) => {
          world.#handled += 1;
        },
        { inbox: false },
      ),
    );
    return world;
  }

  /** From the commit of so many rows to the last one deleted. */
  async relay(rows: number, keySql: string, bodyBytes: number): Promise<Cost> {
    await this.#empty();
    await this.database.pool.query(
      `INSERT INTO ${this.database.table('svc_comm_outbox')} (part, order_key, message_id, exchange, routing_key, body, app_id)
       SELECT hashtext(coalesce(k, $1)) & 63, k, gen_random_uuid(), $1, $2, $3, 'bench'
         FROM (SELECT ${keySql} AS k FROM generate_series(1, $4::int)) s`,
      [this.broker.name, EVENT_TYPE, this.#body(bodyBytes), rows],
    );
    const relay = this.#service.relay();
    const watch = new Stopwatch();
    watch.start();
    await relay.start();
    while (relay.stats.deleted < rows) await sleep(1);
    const run = watch.stop(rows);
    await relay.stop();
    return costOf(run);
  }

  /** From the start of the consumer to the last of so many messages handled. */
  async consume(messages: number): Promise<Cost> {
    await this.#empty();
    await this.broker.publish(messages);
    this.#handled = 0;
    const consumer = this.#service.consumer();
    const watch = new Stopwatch();
    watch.start();
    await consumer.start();
    while (this.#handled < messages) await sleep(1);
    const run = watch.stop(messages);
    await consumer.stop();
    return costOf(run);
  }

  /** `transaction()` with one event, by so many callers at once on the service's own pool. */
  async commit(callers: number, commits: number): Promise<Cost> {
    await this.#empty();
    const event = { aggregate: this.broker.name, eventType: EVENT_TYPE, payload: samplePayload(1) };
    let left = commits;
    const caller = async () => {
      while (left-- > 0) await this.#service.transaction(() => this.#service.publishAggregateEvent(event));
    };
    const watch = new Stopwatch();
    watch.start();
    await Promise.all(Array.from({ length: callers }, caller));
    return costOf(watch.stop(commits));
  }

  async #empty(): Promise<void> {
    await this.broker.channel.purgeQueue(this.broker.name);
    await this.database.pool.query(`TRUNCATE ${this.database.table('svc_comm_outbox')}`);
  }

  #body(bytes: number): string {
    const empty = JSON.stringify({ payload: { note: '' } }).length;
    return JSON.stringify({ payload: { note: 'x'.repeat(Math.max(0, bytes - empty)) } });
  }

  async close(): Promise<void> {
    await this.#service.close();
    await this.database.close();
    await this.broker.close();
  }
}

const costOf = ({ messages, ms, cpuMs }: Run): Cost => ({
  cpuUs: (cpuMs * 1000) / messages,
  wallUs: (ms * 1000) / messages,
});
