import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { compileProject } from '../support/compiled-project.ts';
import { eventually } from '../support/eventually.ts';
import { Role } from '../support/kill/role.ts';
import { type OwnPostgres, type OwnRabbit, startOwnPostgres, startOwnRabbit } from '../support/own-servers.ts';
import { slowness } from '../support/slowness.ts';
import { type DeadCopy, Oracle } from './oracle.ts';
import { bin, source } from './places.ts';
import { Slot, type SlotOptions, writeSettings } from './slot.ts';

/** Limits of time are multiplied by it, so that a busy machine is not taken for slow code. */
export const PATIENCE = slowness();

export interface WorldOptions {
  readonly nodes?: 1 | 3;
  /** Changes of the settings of all processes. */
  readonly settings?: object;
}

/** Servers of a run's own, processes that reach them through proxies of their own, and the oracle. */
export class World {
  readonly rabbit: OwnRabbit;
  readonly postgres: OwnPostgres;
  readonly oracle: Oracle;
  readonly folder: string;
  readonly runsFile: string;
  readonly slots: Slot[] = [];
  readonly settings: object;
  /** Processes that ended without being asked to. */
  readonly unaskedExits: string[] = [];

  static async create(options: WorldOptions = {}): Promise<World> {
    const nodes = options.nodes ?? 1;
    const [rabbit, postgres] = await Promise.all([
      startOwnRabbit({ nodes, ...(nodes > 1 && { config: { cluster_partition_handling: 'pause_minority' } }) }),
      startOwnPostgres({ settings: { max_connections: '300' } }),
    ]);
    const world = new World(rabbit, postgres, options);
    // Quorum queues count their messages at each tick: every 5 s, unless told otherwise before they are declared.
    for (const node of rabbit.nodeNames)
      await rabbit.ctl('eval', 'application:set_env(rabbit, quorum_tick_interval, 200).', '--node', node);
    await world.oracle.create();
    await world.migrate();
    return world;
  }

  private constructor(rabbit: OwnRabbit, postgres: OwnPostgres, options: WorldOptions) {
    this.rabbit = rabbit;
    this.postgres = postgres;
    this.oracle = new Oracle(postgres.url);
    this.folder = mkdtempSync(join(tmpdir(), 'svc-comm-faults-'));
    compileProject(source, ['consumers', 'producer'], this.folder);
    this.runsFile = join(this.folder, 'runs.log');
    this.settings = {
      appId: 'ledger-service',
      brokerUrl: rabbit.url,
      databaseUrl: postgres.url,
      consumers: [join(this.folder, 'consumers.mjs')],
      relay: { lease: '2s' },
      retry: { attempts: 5, delays: ['100ms', '300ms'] },
      outbox: { unroutable: 'keep' },
      publish: { timeout: '3s' },
      heartbeat: '2s',
      connectTimeout: '3s',
      ...options.settings,
    };
  }

  async migrate(): Promise<void> {
    const role = new Role(
      'migrate',
      [bin, 'migrate', '--config', writeSettings(this.folder, 'migrate', this.settings)],
      {},
      this.folder,
      this.folder,
    );
    await role.exited;
    if (role.child.exitCode !== 0) throw new Error(`svc-comm migrate exited ${role.child.exitCode}:\n${role.log}`);
  }

  async addSlot(options: SlotOptions): Promise<Slot> {
    const slot = await Slot.create(options, this);
    this.slots.push(slot);
    return slot;
  }

  slot(name: string): Slot {
    const slot = this.slots.find((each) => each.name === name);
    if (!slot) throw new Error(`no slot ${name}`);
    return slot;
  }

  /** Messages on their way, from the frames on the wires: published and not confirmed, delivered and not settled. */
  inFlight(): { readonly unconfirmed: number; readonly unacked: number } {
    const sessions = this.slots
      .flatMap((slot) => slot.amqp)
      .flatMap((proxy) => proxy.wires.map((wire) => wire.session));
    return {
      unconfirmed: sessions.reduce((sum, session) => sum + session.unconfirmed, 0),
      unacked: sessions.reduce((sum, session) => sum + session.unacked, 0),
    };
  }

  outboxRows(): Promise<number> {
    return this.oracle.count('SELECT 1 FROM svc_comm_outbox');
  }

  /** Ready messages of queues, by a plain client's passive declare; 0 for one that is not there. */
  async ready(queues: readonly string[]): Promise<number> {
    const connection = await connect(this.rabbit.url);
    connection.on('error', () => undefined);
    let sum = 0;
    try {
      for (const queue of queues) {
        const channel = await connection.createChannel();
        channel.on('error', () => undefined);
        const found = await channel.checkQueue(queue).catch(() => undefined);
        sum += found?.messageCount ?? 0;
        if (found) await channel.close();
      }
    } finally {
      await connection.close();
    }
    return sum;
  }

  /** Takes the dead letters out as a plain client does. */
  async drainDead(consumers: readonly string[]): Promise<DeadCopy[]> {
    const copies: DeadCopy[] = [];
    const connection = await connect(this.rabbit.url);
    connection.on('error', () => undefined);
    try {
      for (const consumer of consumers) {
        const channel = await connection.createChannel();
        channel.on('error', () => undefined);
        for (;;) {
          const message = await channel.get(`${consumer}.dead`, { noAck: true }).catch(() => false as const);
          if (!message) break;
          copies.push({ consumer, messageId: String(message.properties.messageId) });
        }
      }
    } finally {
      await connection.close();
    }
    return copies;
  }

  /** Lines of the broker's logs that have the text: what clients did wrong is in the file, not on the console. */
  brokerLog(text: string): string[] {
    return this.rabbit.nodeNames.flatMap((name) => {
      const node = join(this.rabbit.home, name);
      const logs = [
        join(node, 'console.log'),
        ...readdirSync(join(node, 'log')).map((file) => join(node, 'log', file)),
      ];
      return logs.flatMap((file) =>
        readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line.includes(text)),
      );
    });
  }

  /** Starts these and waits until each has its queue bound. */
  async startConsumers(slots: readonly Slot[]): Promise<void> {
    for (const slot of slots) slot.start();
    for (const slot of slots)
      await eventually(
        `${slot.name} consumes`,
        async () => slot.role?.log.includes('consuming from queue'),
        60_000 * PATIENCE,
      );
  }

  async destroy(): Promise<void> {
    await Promise.all(this.slots.map((slot) => slot.close()));
    await this.oracle.close();
    await Promise.all([this.rabbit.remove(), this.postgres.remove()]);
    if (process.env.SVC_COMM_TEST_KEEP_LOGS) console.log(`logs are kept in ${this.folder}`);
    else rmSync(this.folder, { recursive: true, force: true });
  }
}
