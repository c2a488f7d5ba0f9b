import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Role } from '../support/kill/role.ts';
import { bin } from './places.ts';
import { type AmqpProxy, amqpProxy } from './proxy/amqp-session.ts';
import { type PgProxy, pgProxy } from './proxy/pg-session.ts';
import type { World } from './world.ts';

export type SlotKind = 'producer' | 'relay' | 'consumer';

export interface SlotOptions {
  readonly name: string;
  readonly kind: SlotKind;
  /** Changes of the world's settings for this process. */
  readonly settings?: object;
  readonly env?: NodeJS.ProcessEnv;
  /** Instead of ours: what node runs. One that ends unasked is counted, and started again as a supervisor does. */
  readonly peer?: readonly string[];
}

/** A place for one process after the other, with a way to each server that is its alone. */
export class Slot {
  readonly name: string;
  readonly kind: SlotKind;
  readonly amqp: readonly AmqpProxy[];
  readonly pg: PgProxy;
  readonly #options: SlotOptions;
  readonly #world: World;
  readonly #settingsFile: string;
  #starts = 0;
  #isAskedToEnd = false;
  role: Role | undefined;
  /** Events that producers said they have committed. */
  written = 0;
  /** When this process last got something done: acked, confirmed, committed. */
  progressAtMs = 0;

  static async create(options: SlotOptions, world: World): Promise<Slot> {
    const amqp = await Promise.all(world.rabbit.urls.map(amqpProxy));
    return new Slot(options, world, amqp, await pgProxy(world.postgres.url));
  }

  private constructor(options: SlotOptions, world: World, amqp: readonly AmqpProxy[], pg: PgProxy) {
    this.name = options.name;
    this.kind = options.kind;
    this.#options = options;
    this.#world = world;
    this.amqp = amqp;
    this.pg = pg;
    const urls = amqp.map((proxy, node) => proxy.url(world.rabbit.urls[node] ?? ''));
    this.#settingsFile = writeSettings(world.folder, this.name, {
      ...world.settings,
      brokerUrl: urls.length === 1 ? urls[0] : urls,
      databaseUrl: this.databaseUrl,
      ...options.settings,
    });
    const settles = this.kind === 'consumer' ? 'to-server' : 'to-client';
    for (const proxy of amqp) {
      proxy.watch(({ kind }, direction) => {
        if (kind !== 'basic.ack' || direction !== settles) return;
        this.progressAtMs = performance.now();
      });
    }
  }

  get databaseUrl(): string {
    return this.pg.url(this.#world.postgres.url);
  }

  get isAlive(): boolean {
    return this.role?.isAlive ?? false;
  }

  start(): Role {
    this.#starts += 1;
    this.#isAskedToEnd = false;
    const name = `${this.name}-${this.#starts}`;
    const env = {
      ...this.#options.env,
      FAULTS_RUNS: this.#world.runsFile,
      FAULTS_NAME: this.name,
      FAULTS_BROKER_URL: this.amqp[0]?.url(this.#world.rabbit.url),
      FAULTS_DATABASE_URL: this.databaseUrl,
      FAULTS_SEED: `${Number(this.#options.env?.FAULTS_SEED ?? 1) * 100 + this.#starts}`,
      SVC_COMM_CONFIG: this.#settingsFile,
    };
    const role = new Role(name, this.#command(), env, this.#world.folder, this.#world.folder);
    this.role = role;
    if (this.kind === 'producer') {
      role.child.on('message', (said: unknown) => {
        if (typeof said !== 'number') return;
        this.written += said;
        this.progressAtMs = performance.now();
      });
    }
    role.child.once('exit', (code, signal) => {
      if (this.#isAskedToEnd && this.role === role) return;
      if (this.#options.peer) setTimeout(() => this.#isAskedToEnd || this.start(), 1000);
      this.#world.unaskedExits.push(
        `${name} ended with ${signal ?? `exit ${code}`}: ${role.log.trimEnd().split('\n').slice(-3).join(' | ')}`,
      );
    });
    return role;
  }

  async kill9(): Promise<void> {
    this.#isAskedToEnd = true;
    await this.role?.kill9();
  }

  /** SIGTERM; @returns its exit code, null when it was killed after `withinMs` */
  async stop(withinMs = 45_000): Promise<number | null> {
    this.#isAskedToEnd = true;
    const role = this.role;
    if (!role?.isAlive) return role?.child.exitCode ?? null;
    const timer = setTimeout(() => role.signal('SIGKILL'), withinMs);
    const code = await role.stop();
    clearTimeout(timer);
    return code;
  }

  /** Of the process: open files and resident memory; undefined when it is not there. */
  usage(): { readonly files: number; readonly rssMiB: number } | undefined {
    const pid = this.role?.child.pid;
    if (!this.isAlive || pid === undefined) return undefined;
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
      return { files: readdirSync(`/proc/${pid}/fd`).length, rssMiB: Math.round(rss / 1024) };
    } catch {
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.kill9();
    await Promise.all([...this.amqp, this.pg].map((proxy) => proxy.close()));
  }

  #command(): readonly string[] {
    if (this.#options.peer) return this.#options.peer;
    switch (this.kind) {
      case 'relay':
        return [bin, 'runpublisher'];
      case 'consumer':
        return [bin, 'runconsumer'];
      case 'producer':
        return [join(this.#world.folder, 'producer.mjs')];
    }
  }
}

export function writeSettings(folder: string, name: string, settings: object): string {
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(settings));
  return file;
}
