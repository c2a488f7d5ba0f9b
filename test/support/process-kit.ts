import { fileURLToPath } from 'node:url';
import { connect } from 'amqplib';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import type { GuardOptions } from '../../src/http/guard/options.ts';
import { processApi } from '../../src/http/process-api/process-api.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { retryQueueName } from '../../src/message/topology.ts';
import type { Processes } from '../../src/process/processes.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { MessageRouter } from '../../src/router/router.ts';
import type { Settings } from '../../src/settings/define.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { startServer, type TestServer } from './fastify-kit.ts';
import type { Ground } from './seed-project.ts';
import { testBrokerUrl } from './servers.ts';
import { type TestDatabase, testDatabase } from './test-database.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Services of one project, on servers of the machine or on the embedded ones. */
export class ProcessKit {
  readonly ground: Ground;
  readonly registry = new ProcessRegistry();
  readonly #services: SvcCommService[] = [];
  readonly #servers: TestServer[] = [];
  #db: TestDatabase | undefined;

  private constructor(ground: Ground) {
    this.ground = ground;
  }

  static async create(ground: Ground): Promise<ProcessKit> {
    const kit = new ProcessKit(ground);
    kit.registry.addExports(await import('./process-project/processes.ts'));
    if (ground === 'real servers') kit.#db = await testDatabase('process_test');
    return kit;
  }

  get schema(): string {
    return this.#db?.schema ?? 'public';
  }

  /** The tables, seen from outside; only on servers of the machine. */
  get db(): TestDatabase {
    if (!this.#db) throw new Error('the embedded database is not looked at from outside');
    return this.#db;
  }

  /** @param databaseUrl another way to the kit's database; only on servers of the machine */
  service(
    instances: Settings['instances'] = {},
    messageRouter = new MessageRouter(),
    databaseUrl?: string,
  ): SvcCommService {
    const isReal = this.ground === 'real servers';
    const settings = resolveSettings(
      {
        appId: this.schema,
        brokerUrl: isReal ? testBrokerUrl() : 'embedded:memory',
        databaseUrl: databaseUrl ?? (isReal ? this.db.url : 'embedded:memory'),
        schema: this.schema,
        logLevel: 'silent',
        worker: { concurrency: 2, grace: '500ms' },
        instances,
      },
      // Its processes find tsx, which the sources need, from the repository.
      { root: here('../..') },
    );
    const made = createService(settings, {
      taskRegistry: new TaskRegistry(),
      processRegistry: this.registry,
      messageRouter,
      logger: silentLogger,
    });
    this.#services.push(made);
    return made;
  }

  /** @param files define the processes, in the worker's own too */
  async startWorker(service: SvcCommService, files = [here('./process-project/processes.ts')]): Promise<void> {
    await service.relay().start();
    await service.worker({ files }).start();
  }

  async serve(processes: Processes, guard: GuardOptions = {}): Promise<TestServer> {
    const server = await startServer(
      async (app) => void (await app.register(processApi, { processes, cancelWait: '5s' })),
      { guard },
    );
    this.#servers.push(server);
    return server;
  }

  async close(): Promise<void> {
    for (const server of this.#servers) await server.stop();
    for (const service of this.#services.toReversed()) await service.close();
    if (!this.#db) return;
    const broker = await connect(testBrokerUrl());
    const channel = await broker.createChannel();
    const delays = this.#services.flatMap(({ settings }) => settings.retry.delaysMs);
    const retries = [...new Set(delays)].map((ms) => retryQueueName('', ms));
    for (const queue of ['.tasks', '', '.dead', ...retries]) await channel.deleteQueue(this.schema + queue);
    for (const aggregate of ['greeting', 'sms']) await channel.deleteExchange(`${this.schema}.${aggregate}`);
    await broker.close();
    await this.#db.close();
  }
}
