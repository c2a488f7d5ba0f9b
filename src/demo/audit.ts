import type { Assembly } from '../assembly/assembly.ts';
import type { BrokerConnection } from '../broker/connection.ts';
import { QueueAdmin } from '../broker/queue-admin.ts';
import { BrokerQueueReader } from '../broker/queue-reader.ts';
import { BrokerTopology } from '../broker/topology.ts';
import { connectDatabase } from '../database/connection.ts';
import { quoteIdentifier } from '../database/identifier.ts';
import { readDeadLetter } from '../dead-letters/dead-letter.ts';
import type { Service, ServiceState } from '../lifecycle/service.ts';
import type { Delivery } from '../message/subscriber.ts';
import { deadQueueName, retryQueueName } from '../message/topology.ts';
import { durationMs } from '../util/duration.ts';
import { type DemoNames, SCENARIO } from './scenario.ts';

/** Read from the broker's queues and the services' tables, by connections that are used for nothing else. */
export interface Figures {
  readonly written: number;
  /** Gaps in the orders' ids: an id that was drawn is not given back by a rollback. */
  readonly rolledBack: number;
  /** Different messages that the broker routed. */
  readonly published: number;
  /** Messages that it routed more than once. */
  readonly copies: number;
  /** Effects that are to be seen, each counted once. */
  readonly handled: number;
  /** Runs that failed: those before an effect, and those of dead letters. */
  readonly retried: number;
  readonly deadLettered: number;
  /** Reminders that are still planned. */
  readonly planned: number;
  readonly reminded: readonly number[];
  /** Effects that an order has beyond the first. */
  readonly duplicates: number;
  /** Orders with neither a shipment nor a dead letter. */
  readonly lost: number;
  /** Shipments of orders that were rolled back. */
  readonly ghosts: number;
}

/** Databases of the two services: one, or one each. */
export interface AuditUrls {
  readonly shop: string;
  readonly post: string;
}

export class Audit implements Service {
  readonly name = 'audit';
  readonly #assembly: Assembly;
  readonly #names: DemoNames;
  readonly #urls: AuditUrls;
  readonly #connection: BrokerConnection;

  constructor(assembly: Assembly, names: DemoNames, urls: AuditUrls) {
    this.#assembly = assembly;
    this.#names = names;
    this.#urls = urls;
    this.#connection = assembly.connection('audit');
  }

  get state(): ServiceState {
    return this.#connection.state;
  }
  async start(): Promise<void> {
    await this.#connection.start();
    const { auditQueue, gremlinQueue, exchange } = this.#names;
    const topology = new BrokerTopology({ connection: this.#connection });
    for (const name of [auditQueue, gremlinQueue]) {
      await topology.ensure({
        exchanges: [{ name: exchange, type: 'topic' }],
        queue: { ...this.#assembly.settings.queue, name },
        binds: [{ exchange, pattern: '#' }],
        retryDelaysMs: [],
      });
    }
  }
  stop(): Promise<void> {
    return this.#connection.stop();
  }

  /** Whether nothing waits anywhere, in the order in which things move. */
  async isQuiet(): Promise<boolean> {
    const { shopSchema, postQueue, gremlinQueue } = this.#names;
    const [rows] = await this.#query(
      'shop',
      `SELECT (SELECT count(*) FROM ${table(shopSchema, 'svc_comm_outbox')})
            + (SELECT count(*) FROM ${table(shopSchema, 'svc_comm_future')}) AS n`,
    );
    if (Number(rows?.n) > 0) return false;
    const admin = new QueueAdmin(this.#connection);
    for (const queue of [gremlinQueue, postQueue, retryQueue(postQueue), postQueue]) {
      if (((await admin.status(queue))?.ready ?? 0) > 0) return false;
    }
    return true;
  }

  async figures(): Promise<Figures> {
    const { shopSchema, postSchema, auditQueue, postQueue } = this.#names;
    const [written] = await this.#query(
      'shop',
      `SELECT count(*) AS n, (SELECT last_value FROM ${table(shopSchema, 'orders_id_seq')}) - count(*) AS gaps
         FROM ${table(shopSchema, 'orders')}`,
    );
    const orders = await this.#numbers('shop', `SELECT id AS number FROM ${table(shopSchema, 'orders')}`);
    const shipped = await this.#numbers('post', `SELECT number FROM ${table(postSchema, 'shipments')}`);
    const reminded = await this.#numbers('post', `SELECT number FROM ${table(postSchema, 'reminders')}`);
    const [failed] = await this.#query(
      'post',
      `SELECT coalesce(sum(attempt - 1), 0) AS n
         FROM (SELECT attempt FROM ${table(postSchema, 'shipments')}
               UNION ALL SELECT attempt FROM ${table(postSchema, 'reminders')}) handled`,
    );
    const [planned] = await this.#query('shop', `SELECT count(*) AS n FROM ${table(shopSchema, 'svc_comm_future')}`);
    const routed = (await this.#read(auditQueue)).map(({ properties }) => properties.messageId);
    const dead = await this.#read(deadQueueName(postQueue));
    const given = new Set([...shipped, ...dead.map(orderOf)]);
    const deadRuns = dead.reduce((sum, delivery) => sum + readDeadLetter(delivery).failedRuns, 0);
    const effects = new Set(shipped).size + new Set(reminded).size;
    return {
      written: Number(written?.n),
      rolledBack: Number(written?.gaps),
      published: new Set(routed).size,
      copies: routed.length - new Set(routed).size,
      handled: effects,
      retried: Number(failed?.n) + deadRuns,
      deadLettered: dead.length,
      planned: Number(planned?.n),
      reminded: [...new Set(reminded)],
      duplicates: shipped.length + reminded.length - effects,
      lost: orders.filter((id) => !given.has(id)).length,
      ghosts: shipped.filter((id) => !orders.includes(id)).length,
    };
  }

  /** Takes this run's queues, exchange and schemas away again: each part whether or not the other could be. */
  async cleanUp(): Promise<void> {
    const { exchange, shopQueue, postQueue, auditQueue, gremlinQueue, shopSchema, postSchema } = this.#names;
    const queues = [shopQueue, postQueue, auditQueue, gremlinQueue].flatMap((queue) => [
      queue,
      retryQueue(queue),
      deadQueueName(queue),
    ]);
    const drop = (schema: string) => `DROP SCHEMA IF EXISTS ${quoteIdentifier(schema)} CASCADE`;
    const parts = await Promise.allSettled([
      new QueueAdmin(this.#connection).remove({ queues, exchanges: [exchange] }),
      this.#query('shop', drop(shopSchema)),
      this.#query('post', drop(postSchema)),
    ]);
    for (const part of parts) if (part.status === 'rejected') throw part.reason;
  }

  async #read(queue: string): Promise<Delivery[]> {
    const open = await new BrokerQueueReader(this.#connection).open(queue);
    const deliveries: Delivery[] = [];
    try {
      for (let read = await open.next(); read.kind === 'message'; read = await open.next())
        deliveries.push(read.delivery);
    } finally {
      await open.close();
    }
    return deliveries;
  }

  async #numbers(side: keyof AuditUrls, sql: string): Promise<number[]> {
    return (await this.#query(side, sql)).map((row) => Number(row.number));
  }

  async #query(side: keyof AuditUrls, sql: string): Promise<Record<string, unknown>[]> {
    const connection = await connectDatabase({ url: this.#urls[side], applicationName: 'demo audit' });
    try {
      return await connection.query<Record<string, unknown>>(sql, []);
    } finally {
      await connection.close();
    }
  }
}

const table = (schema: string, name: string): string => `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
const retryQueue = (queue: string): string => retryQueueName(queue, durationMs(SCENARIO.retryDelay));

function orderOf({ body }: Delivery): number {
  const { payload }: { readonly payload?: { readonly id?: unknown } } = JSON.parse(body.toString());
  return Number(payload?.id);
}
