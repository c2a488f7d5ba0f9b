import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from 'amqplib';
import { build } from 'esbuild';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher } from '../../src/broker/publisher.ts';
import { BrokerSubscriber } from '../../src/broker/subscriber.ts';
import { BrokerTopology } from '../../src/broker/topology.ts';
import { connectDatabase } from '../../src/database/connection.ts';
import { knexTransactions, resolveTransactions, type Transactions } from '../../src/database/transactions.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import type { Service } from '../../src/lifecycle/service.ts';
import { Relay } from '../../src/outbox/relay.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { Tasks, type TasksParts } from '../../src/task/tasks.ts';
import { Worker, type WorkerParts } from '../../src/task/worker.ts';
import { DEFAULT_WORKER_OPTIONS, type WorkerOptions } from '../../src/task/worker-options.ts';
import { testBrokerUrl } from './servers.ts';
import { type TestDatabase, testDatabase } from './test-database.ts';

/** Tables of the test file's own, and clients of tasks on them. */
export class TaskKit {
  readonly db: TestDatabase;
  readonly registry = new TaskRegistry();
  readonly transactions: Transactions;
  readonly #started: Tasks[] = [];

  private constructor(db: TestDatabase) {
    this.db = db;
    this.transactions = resolveTransactions(knexTransactions(), db.pool);
  }

  static async create(): Promise<TaskKit> {
    return new TaskKit(await testDatabase('task_test'));
  }

  get queue(): string {
    return `${this.db.schema}.tasks`;
  }

  async tasks(parts: Partial<TasksParts> = {}): Promise<Tasks> {
    const { registry, transactions, queue } = this;
    const { url, schema } = this.db;
    const tasks = new Tasks({
      registry,
      connect: (name) => connectDatabase({ url, applicationName: `${schema} ${name}` }),
      transactions,
      schema,
      queue,
      logger: silentLogger,
      ...parts,
    });
    this.#started.push(tasks);
    await tasks.start();
    return tasks;
  }

  /** What became of a task, as the row says. */
  async row(id: string): Promise<Record<string, unknown>> {
    const { rows } = await this.db.pg.query(`SELECT * FROM ${this.db.table('svc_comm_task')} WHERE id = $1`, [id]);
    return rows[0];
  }

  /** When it is, by the clock that the rows' times are of. */
  async now(): Promise<Date> {
    return (await this.db.pg.query('SELECT clock_timestamp() AS now')).rows[0].now;
  }

  /** From a time of that clock to the end of a task, in ms; who waits for it may hear of it later. */
  async tookMs(id: string, from: Date): Promise<number> {
    const { finished_at: at } = await this.row(id);
    return Number(at) - Number(from);
  }

  async close(): Promise<void> {
    await Promise.all(this.#started.map((tasks) => tasks.stop()));
    await this.db.close();
  }
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** @returns the file of a task's process, in a folder that `remove` takes away */
async function bundleProcess(project: string): Promise<{ readonly file: string; remove(): void }> {
  // Where it finds the packages.
  const folder = mkdtempSync(here('../../node_modules/.svc-comm-test-'));
  const file = join(folder, 'process.mjs');
  const entryPoints = [here(`./${project}/process.ts`)];
  // What starts other tasks is not needed, and would bring broker and database with it.
  const external = ['*/default-service.ts'];
  await build({
    entryPoints,
    outfile: file,
    bundle: true,
    packages: 'external',
    external,
    platform: 'node',
    format: 'esm',
  });
  return { file, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A worker with a broker of its own tests' queue, and a relay beside it. */
export class WorkerKit {
  readonly kit: TaskKit;
  readonly tasks: Tasks;
  readonly queue: string;
  readonly #services: Service[] = [];
  readonly #connection: BrokerConnection;
  readonly #process: Awaited<ReturnType<typeof bundleProcess>>;

  private constructor(
    kit: TaskKit,
    tasks: Tasks,
    connection: BrokerConnection,
    process: Awaited<ReturnType<typeof bundleProcess>>,
  ) {
    this.kit = kit;
    this.tasks = tasks;
    this.queue = kit.queue;
    this.#connection = connection;
    this.#process = process;
  }

  /**
   * @param project the folder with the tasks
   * @param hasRelay false: no message is brought to the broker
   */
  static async create(project = 'task-project', hasRelay = true): Promise<WorkerKit> {
    const kit = await TaskKit.create();
    const module: Record<string, unknown> = await import(here(`./${project}/tasks.ts`));
    kit.registry.addExports(module);
    const connection = new BrokerConnection({ name: 'task test', url: testBrokerUrl() });
    const publishing = new BrokerConnection({ name: 'task test relay', url: testBrokerUrl() });
    const publisher = new BrokerPublisher({ connection: publishing });
    const { url, schema } = kit.db;
    const relay = new Relay({
      connect: ({ name, settings }) => connectDatabase({ url, applicationName: `${schema} ${name}`, settings }),
      pipe: publisher,
      schema,
      logger: silentLogger,
    });
    const tasks = await kit.tasks();
    const made = new WorkerKit(kit, tasks, connection, await bundleProcess(project));
    for (const service of [connection, ...(hasRelay ? [publishing, publisher, relay] : [])]) {
      await service.start();
      made.#services.push(service);
    }
    return made;
  }

  /** What a task's process runs. */
  get nodeArguments(): readonly string[] {
    return [this.#process.file];
  }

  worker(options: Partial<WorkerOptions> = {}, parts: Partial<WorkerParts> = {}): Worker {
    const { url, schema } = this.kit.db;
    const queue = { name: this.queue, type: 'quorum', singleActiveConsumer: false, arguments: {} } as const;
    const topologySpec = { exchanges: [], queue, binds: [], retryDelaysMs: [], hasDeadLetters: false };
    const topology = new BrokerTopology({ connection: this.#connection });
    const ensureTopology = () => topology.ensure(topologySpec);
    const worker = new Worker({
      registry: this.kit.registry,
      connect: (name, settings = {}) => connectDatabase({ url, applicationName: `${schema} ${name}`, settings }),
      subscriber: new BrokerSubscriber({ connection: this.#connection, ensureTopology }),
      topology,
      topologySpec,
      schema,
      logger: silentLogger,
      wait: true,
      listen: true,
      options: { ...DEFAULT_WORKER_OPTIONS, concurrency: 4, spare: 1, graceMs: 500, drainMs: 2000, ...options },
      nodeArguments: this.nodeArguments,
      load: { root: here('../..'), files: [] },
      ...parts,
    });
    this.#services.push(worker);
    return worker;
  }

  async close(): Promise<void> {
    for (const service of this.#services.toReversed()) await service.stop();
    const broker = await connect(testBrokerUrl());
    const channel = await broker.createChannel();
    await channel.deleteQueue(this.queue);
    await broker.close();
    await this.kit.close();
    this.#process.remove();
  }
}
