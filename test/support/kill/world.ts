import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'amqplib';
import { compileProject } from '../compiled-project.ts';
import { eventually } from '../eventually.ts';
import { type OwnPostgres, type OwnRabbit, startOwnPostgres, startOwnRabbit } from '../own-servers.ts';
import { Oracle } from './oracle.ts';
import { type QueueCounts, QueueWatch } from './queue-watch.ts';
import { Role } from './role.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const source = fileURLToPath(new URL('./project/', import.meta.url));
const bin = join(root, 'dist/bin/svc-comm.js');

export interface WorldOptions {
  readonly queue?: object;
  readonly relayLease?: string;
  readonly settings?: object;
}

/** Own RabbitMQ and PostgreSQL, one service project on them, and the oracle. */
export class World {
  readonly rabbit: OwnRabbit;
  readonly postgres: OwnPostgres;
  readonly oracle: Oracle;
  readonly folder: string;
  readonly #queues: QueueWatch;
  readonly #roles: Role[] = [];
  readonly #settings: object;
  #count = 0;

  static async create(options: WorldOptions = {}): Promise<World> {
    const [rabbit, postgres] = await Promise.all([startOwnRabbit(), startOwnPostgres()]);
    // Quorum queues count their messages at each tick: every 5 s, unless told otherwise before they are declared.
    await rabbit.ctl('eval', 'application:set_env(rabbit, quorum_tick_interval, 200).');
    const world = new World(rabbit, postgres, options);
    await world.oracle.create();
    await world.run(['migrate']);
    return world;
  }

  constructor(rabbit: OwnRabbit, postgres: OwnPostgres, options: WorldOptions) {
    this.rabbit = rabbit;
    this.postgres = postgres;
    this.oracle = new Oracle(postgres.url);
    this.folder = mkdtempSync(join(tmpdir(), 'svc-comm-kill-'));
    compileProject(source, ['consumers', 'producer'], this.folder);
    this.#queues = new QueueWatch(rabbit, join(this.folder, 'queues'));
    this.#settings = {
      appId: 'ledger-service',
      brokerUrl: rabbit.url,
      databaseUrl: postgres.url,
      queue: { name: 'ledger-queue', ...options.queue },
      consumers: [join(this.folder, 'consumers.mjs')],
      relay: { lease: options.relayLease ?? '2s' },
      retry: { attempts: 5, delays: ['100ms'] },
      heartbeat: '5s',
      ...options.settings,
    };
  }

  /** The settings file, with changes for one role. */
  configFile(changes: object = {}): string {
    this.#count += 1;
    const file = join(this.folder, `settings-${this.#count}.json`);
    writeFileSync(file, JSON.stringify({ ...this.#settings, ...changes }));
    return file;
  }

  spawnBin(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, changes: object = {}): Role {
    this.#count += 1;
    return this.#add(
      new Role(
        `${name}-${this.#count}`,
        [bin, ...args, '--config', this.configFile(changes)],
        env,
        this.folder,
        this.folder,
      ),
    );
  }

  relay(changes: object = {}): Role {
    return this.spawnBin('relay', ['runpublisher'], {}, changes);
  }

  consumer(env: NodeJS.ProcessEnv = {}, changes: object = {}): Role {
    return this.spawnBin('consumer', ['runconsumer'], env, changes);
  }

  /** A consumer whose queue is bound: what is published from now on is for it. */
  async boundConsumer(env: NodeJS.ProcessEnv = {}, changes: object = {}): Promise<Role> {
    const role = this.consumer(env, changes);
    await eventually('the consumer is subscribed', async () => role.log.includes('consuming from queue'));
    return role;
  }

  producer(env: NodeJS.ProcessEnv = {}): Role {
    this.#count += 1;
    const args = [join(this.folder, 'producer.mjs')];
    const own = { ...env, SVC_COMM_CONFIG: this.configFile() };
    return this.#add(new Role(`producer-${this.#count}`, args, own, this.folder, this.folder));
  }

  #add(role: Role): Role {
    this.#roles.push(role);
    return role;
  }

  /** Runs a command to its end. @throws with its output unless it exits 0 */
  async run(args: readonly string[], changes: object = {}): Promise<string> {
    const role = this.spawnBin('command', args, {}, changes);
    await role.exited;
    if (role.child.exitCode !== 0)
      throw new Error(`svc-comm ${args.join(' ')} exited ${role.child.exitCode}:\n${role.log}`);
    return role.log;
  }

  /** Ready and unacknowledged messages of a queue, as the broker counts them. */
  queue(name = 'ledger-queue'): Promise<QueueCounts> {
    return this.#queues.counts(name);
  }

  /** Ends every process and forgets every row and message, so that the next test has its own history. */
  async reset(): Promise<void> {
    await this.#killAll();
    await this.oracle.query(`TRUNCATE oracle.key, oracle.produced, oracle.counter, oracle.effect,
      svc_comm_outbox, svc_comm_future, svc_comm_inbox, svc_comm_parked_key, svc_comm_relay, svc_comm_start_mark`);
    await this.oracle.query("UPDATE svc_comm_relay_lease SET owner = NULL, until = '-infinity', parked = false");
    const listed = await this.rabbit.ctl('-q', 'list_queues', 'name', '--no-table-headers');
    const broker = await connect(this.rabbit.url);
    const channel = await broker.createChannel();
    // Those that the broker named are their connections' own, and go with them.
    const ours = listed.split('\n').filter((name) => name !== '' && !name.startsWith('amq.'));
    for (const queue of ours) await channel.deleteQueue(queue);
    await broker.close();
  }

  async #killAll(): Promise<void> {
    await Promise.all(this.#roles.splice(0).map((role) => role.kill9()));
  }

  async destroy(): Promise<void> {
    await this.#killAll();
    await this.oracle.close();
    await Promise.all([this.rabbit.remove(), this.postgres.remove()]);
    if (process.env.SVC_COMM_TEST_KEEP_LOGS) console.log(`logs are kept in ${this.folder}`);
    else rmSync(this.folder, { recursive: true, force: true });
  }
}
