import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connect } from 'amqplib';
import pg from 'pg';
import { testBrokerUrl, testDatabaseUrl, uniqueName } from './servers.ts';

export const repository = fileURLToPath(new URL('../../', import.meta.url));
export const bin = join(repository, 'dist/bin/svc-comm.js');

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process of the built bin that runs for long. */
export class Running {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly exit: Promise<number | null>;
  readonly #seen = new Set<() => void>();

  constructor(child: ChildProcess) {
    this.child = child;
    this.exit = once(child, 'exit').then(([code]) => code);
    for (const input of [child.stdout, child.stderr]) {
      if (!input) continue;
      createInterface({ input }).on('line', (line) => {
        this.lines.push(line);
        for (const look of this.#seen) look();
      });
    }
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The first line from here on, or after the first `from` lines, that holds the text. */
  async line(text: string, from = 0): Promise<string> {
    let look: (() => void) | undefined;
    const found = new Promise<string>((resolve) => {
      look = () => {
        const line = this.lines.slice(from).find((known) => known.includes(text));
        if (line !== undefined) resolve(line);
      };
      this.#seen.add(look);
      look();
    });
    const ended = this.exit.then((code) => {
      throw new Error(`exited ${code} before it said "${text}":\n${this.lines.join('\n')}`);
    });
    ended.catch(() => undefined);
    try {
      return await Promise.race([found, ended]);
    } finally {
      if (look) this.#seen.delete(look);
    }
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return this.exit;
  }
}

/** A project in a folder of its own that uses the built package, with names of its own on broker and database. */
export class CliProject {
  readonly name = uniqueName('cli_test');
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'svc-comm-cli-')));
  readonly exchange = `${this.name}.x`;
  readonly queue = `${this.name}.q`;
  readonly #running: Running[] = [];

  constructor(files: Readonly<Record<string, string>> = {}) {
    mkdirSync(join(this.root, 'node_modules'));
    symlinkSync(repository, join(this.root, 'node_modules/svc-comm'));
    this.write('package.json', JSON.stringify({ name: this.name, type: 'module' }));
    for (const [file, content] of Object.entries(files)) this.write(file, content);
  }

  /** Lets the project import a package that is installed here. */
  link(name: string): void {
    symlinkSync(join(repository, 'node_modules', name), join(this.root, 'node_modules', name));
  }

  /** `EXCHANGE` in the content stands for the project's own. */
  write(file: string, content: string): void {
    mkdirSync(dirname(join(this.root, file)), { recursive: true });
    writeFileSync(join(this.root, file), content.replaceAll('EXCHANGE', this.exchange));
  }

  get environment(): NodeJS.ProcessEnv {
    const { SVC_COMM_BROKER_URL: _, SVC_COMM_DATABASE_URL: __, ...others } = process.env;
    return {
      ...others,
      SVC_COMM_BROKER_URL: testBrokerUrl(),
      SVC_COMM_DATABASE_URL: testDatabaseUrl(),
      SVC_COMM_SCHEMA: this.name,
      SVC_COMM_QUEUE: this.queue,
      SVC_COMM_RETRY: '{"attempts":1}',
    };
  }

  start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
    const child = spawn(process.execPath, [...args], {
      cwd: this.root,
      env: { ...this.environment, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = new Running(child);
    this.#running.push(running);
    return running;
  }

  startCli(...args: string[]): Running {
    return this.start([bin, ...args]);
  }

  cli(...args: string[]): Promise<Finished> {
    return this.run([bin, ...args]);
  }

  async run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Finished> {
    const running = this.start(args, environment);
    const { child } = running;
    const output = { stdout: '', stderr: '' };
    child.stdout?.on('data', (data: Buffer) => {
      output.stdout += data.toString();
    });
    child.stderr?.on('data', (data: Buffer) => {
      output.stderr += data.toString();
    });
    const [code] = await once(child, 'close');
    return { code, ...output };
  }

  /** Ends what was started and removes the folder, the schema, the queues and the exchange. */
  async remove(): Promise<void> {
    await Promise.all(this.#running.map((running) => running.stop('SIGKILL')));
    rmSync(this.root, { recursive: true, force: true });
    const database = new pg.Client({ connectionString: testDatabaseUrl() });
    await database.connect();
    await database.query(`DROP SCHEMA IF EXISTS "${this.name}" CASCADE`);
    await database.end();
    const broker = await connect(testBrokerUrl());
    const channel = await broker.createChannel();
    for (const queue of [this.queue, `${this.queue}.dead`, `${this.queue}.tasks`]) await channel.deleteQueue(queue);
    for (const exchange of [this.exchange, `${this.name}.replies`]) await channel.deleteExchange(exchange);
    await broker.close();
  }
}

/** A consumer of a whole exchange, as a static decorated method. */
export const CONSUMER = `
import { eventConsumer, messageRouter } from 'svc-comm';

export class OrderConsumers {
  @messageRouter.consumer('EXCHANGE', 'create.*')
  @eventConsumer
  static async onOrder(payload: { id: number }) {
    console.log('handled', payload.id);
  }
}
`;
