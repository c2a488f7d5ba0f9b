import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { AmqpLab } from './amqp-lab.ts';
import { testBrokerUrl, testDatabaseUrl, uniqueName } from './servers.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** What its package.json asks for, from this package's own node_modules. */
const LIBRARIES = ['fastify', 'csv-stringify', 'csv-parse', 'tsx', 'typescript', '@types/node'];

export interface Running {
  readonly url: string;
  readonly child: ChildProcess;
  readonly log: readonly string[];
  /** @returns the exit code, null after a kill */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** A copy of examples/workflow outside of this repository, as after `npm install`, and its processes. */
export class WorkflowKit {
  readonly folder: string;
  readonly name = uniqueName('wf');
  readonly #children: ChildProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<WorkflowKit> {
    const folder = await mkdtemp(join(tmpdir(), 'svc-comm-workflow-'));
    const skipped = ['node_modules', 'dist', '.svc-comm'];
    await cp(join(root, 'examples/workflow'), folder, {
      recursive: true,
      filter: (source) => !skipped.includes(basename(source)),
    });
    for (const library of LIBRARIES)
      await link(join(root, 'node_modules', library), join(folder, 'node_modules', library));
    await link(root, join(folder, 'node_modules/svc-comm'));
    return new WorkflowKit(folder);
  }

  /** Names and servers of this test's own. */
  env(urls: { readonly broker?: string; readonly database?: string } = {}): NodeJS.ProcessEnv {
    return {
      ...process.env,
      SVC_COMM_APP_ID: this.name,
      SVC_COMM_SCHEMA: this.name,
      SVC_COMM_BROKER_URL: urls.broker ?? testBrokerUrl(),
      SVC_COMM_DATABASE_URL: urls.database ?? testDatabaseUrl(),
      PORT: '0',
    };
  }

  /** As a user has it who set nothing: the embedded broker and database of the project. */
  bareEnv(): NodeJS.ProcessEnv {
    const mine = Object.entries(process.env).filter(([name]) => !name.startsWith('SVC_COMM_'));
    return { ...Object.fromEntries(mine), PORT: '0' };
  }

  /** `npm start`, without npm in between, which would not pass signals on. Resolves when it listens. */
  async start(env: NodeJS.ProcessEnv = this.env()): Promise<Running> {
    const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts'], {
      cwd: this.folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.push(child);
    const log: string[] = [];
    const exited = once(child, 'exit');
    const listening = new Promise<string>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          log.push(line);
          const url = /Server listening at (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
          if (url) resolve(url);
        });
      }
    });
    const died = exited.then(([code]) =>
      Promise.reject(new Error(`it exited ${code} at its start:\n${log.join('\n')}`)),
    );
    died.catch(() => undefined);
    const url = await Promise.race([listening, died]);
    return {
      url,
      child,
      log,
      async stop(signal = 'SIGTERM') {
        if (child.exitCode === null && child.signalCode === null) child.kill(signal);
        const [code] = await exited;
        return code as number | null;
      },
    };
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Queues, exchange and schema of this test, on the shared servers. */
  async clean(): Promise<void> {
    const lab = new AmqpLab(testBrokerUrl());
    const channel = await lab.channel();
    const queues = [
      this.name,
      `${this.name}.dead`,
      ...[1000, 5000, 30_000, 120_000].map((ms) => `${this.name}.retry.${ms}`),
    ];
    for (const queue of queues) await channel.deleteQueue(queue);
    await channel.deleteExchange(this.name);
    await lab.close();
    const client = new pg.Client(testDatabaseUrl());
    await client.connect();
    await client.query(`DROP SCHEMA IF EXISTS "${this.name}" CASCADE`);
    await client.end();
  }
}

async function link(target: string, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, path, 'dir');
}
