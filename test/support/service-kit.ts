import { type Channel, type ChannelModel, connect } from 'amqplib';
import pg from 'pg';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { replyExchange } from '../../src/assembly/calls.ts';
import type { Settings } from '../../src/settings/define.ts';
import { LogLines } from './broker-kit.ts';
import { testBrokerUrl, testDatabaseUrl, uniqueName } from './servers.ts';

/** Services as users build them, with names of the test's own, and a plain amqplib channel beside them. */
export class ServiceKit {
  readonly name: string;
  readonly log = new LogLines();
  readonly channel: Channel;
  readonly pg = new pg.Pool({ connectionString: testDatabaseUrl(), max: 5 });
  readonly #model: ChannelModel;
  readonly #services: SvcCommService[] = [];
  readonly #queues = new Set<string>();
  readonly #exchanges = new Set<string>();
  readonly #roles: string[] = [];

  private constructor(name: string, model: ChannelModel, channel: Channel) {
    this.name = name;
    this.#model = model;
    this.channel = channel;
  }

  static async open(prefix: string): Promise<ServiceKit> {
    const model = await connect(testBrokerUrl());
    return new ServiceKit(uniqueName(prefix), model, await model.createChannel());
  }

  /** With a database, in the kit's schema, unless the settings say otherwise. Its queue has the name of its appId. */
  service(suffix: string, settings: Settings = {}): SvcCommService {
    const appId = this.exchangeName(suffix);
    for (const queue of [appId, `${appId}.dead`, `${appId}.retry.50`]) this.#queues.add(queue);
    this.#exchanges.add(replyExchange(appId));
    const defaults: Settings = {
      appId,
      brokerUrl: testBrokerUrl(),
      databaseUrl: testDatabaseUrl(),
      schema: this.name,
      retry: { attempts: 2, delays: ['50ms'] },
    };
    const service = createService({ ...defaults, ...settings }, { logger: this.log });
    this.#services.push(service);
    return service;
  }

  /** The name of an exchange, and of a queue, that go at the end. */
  exchangeName(suffix: string): string {
    const name = `${this.name}.${suffix}`;
    this.#exchanges.add(name);
    this.#queues.add(name);
    return name;
  }

  /**
   * A database user with rights on all that is in the kit's schema by now, who goes at the end.
   * @returns its name, and the URL of the database for it
   */
  async role(): Promise<{ readonly role: string; readonly databaseUrl: string }> {
    const role = `${this.name}_role`;
    this.#roles.push(role);
    await this.pg.query(`CREATE ROLE ${role} LOGIN`);
    await this.pg.query(`GRANT USAGE ON SCHEMA "${this.name}" TO ${role}`);
    await this.pg.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${this.name}" TO ${role}`);
    await this.pg.query(`GRANT USAGE ON ALL SEQUENCES IN SCHEMA "${this.name}" TO ${role}`);
    const url = new URL(testDatabaseUrl());
    url.username = role;
    return { role, databaseUrl: url.href };
  }

  table(name: string): string {
    return `"${this.name}".${name}`;
  }

  async count(table: string, where = 'true'): Promise<number> {
    const { rows } = await this.pg.query(`SELECT count(*)::int AS n FROM ${this.table(table)} WHERE ${where}`);
    return rows[0].n;
  }

  async close(): Promise<void> {
    await Promise.all(this.#services.map((service) => service.close()));
    for (const queue of this.#queues) await this.channel.deleteQueue(queue);
    for (const exchange of this.#exchanges) await this.channel.deleteExchange(exchange);
    await this.#model.close();
    await this.pg.query(`DROP SCHEMA IF EXISTS "${this.name}" CASCADE`);
    for (const role of this.#roles) await this.pg.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await this.pg.end();
  }
}
