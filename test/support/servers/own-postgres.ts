import { execFile } from 'node:child_process';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { postgresBinaries, postgresUser } from './binaries.ts';
import { freePort } from './free-port.ts';
import { ServerHome } from './server-home.ts';
import { launch, type ServerProcess, untilReady } from './server-process.ts';

const run = promisify(execFile);

export interface OwnPostgresOptions {
  /** Off is faster and loses data only when the machine itself fails; a server that tests kill keeps it on. @default true */
  readonly fsync?: boolean;
  /** Lines for the server's command line, e.g. `{ max_connections: '20' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The URL of one that runs: the new server is what a standby of it is that has got no more and is promoted. @default empty */
  readonly copyOf?: string;
  /** Outlives this process, until `removeKeptHome(home)`. @default false */
  readonly keep?: boolean;
}

/** A PostgreSQL that is a test's alone: its to kill. */
export interface OwnPostgres {
  /** Superuser `postgres`, no password. Stays the same over restarts. */
  readonly url: string;
  readonly port: number;
  readonly home: string;
  readonly isRunning: boolean;
  /** Kills the postmaster at once; its children follow when they notice. */
  kill9(): Promise<void>;
  /** Starts it again after `kill9` or `stop`; resolves when it answers. */
  start(): Promise<void>;
  /** `pg_ctl restart -m immediate`: every session is cut, recovery from the log at the start. */
  immediateRestart(): Promise<void>;
  /** Fast shutdown: sessions are cut, everything is written. */
  stop(): Promise<void>;
  /** Takes it down and removes its folder. Safe to repeat. */
  remove(): Promise<void>;
}

/**
 * A new PostgreSQL from this machine's binaries, in a temporary folder, on a free port of 127.0.0.1.
 * @throws when there are no binaries, or it does not come up (with the end of its log)
 */
export async function startOwnPostgres(options: OwnPostgresOptions = {}): Promise<OwnPostgres> {
  const bin = await postgresBinaries();
  if (!bin)
    throw new Error('no PostgreSQL binaries on this machine: install postgresql, or set SVC_COMM_TEST_POSTGRES_BIN');
  const user = await postgresUser();
  const home = await ServerHome.create('postgres', { keep: options.keep ?? false });
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const root = join(home.path, 'postgres');
  const data = join(root, 'data');
  const logFile = join(home.path, 'postgres.log');
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: options.fsync === false ? 'off' : 'on',
    max_connections: '200',
    shared_buffers: '64MB',
    ...options.settings,
  };
  const args = ['-D', data, '-p', String(port), ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])];
  let server: ServerProcess | undefined;

  const start = async (): Promise<void> => {
    const deadline = performance.now() + 60_000;
    for (;;) {
      server = await launch(home, { command: join(bin, 'postgres'), args, env: {}, logFile, user });
      try {
        return await untilReady(server, logFile, () => probePostgres(url));
      } catch (error) {
        // Children of a killed postmaster hold its shared memory until they notice, and a new one refuses to start.
        const isHeld =
          String(error).includes('pre-existing shared memory block') || String(error).includes('lock file');
        if (!isHeld || performance.now() > deadline) throw error;
      }
    }
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => server?.end(signal);

  try {
    await mkdir(root);
    if (user) await chown(root, user.uid, user.gid);
    if (options.copyOf === undefined) {
      const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
      await run(join(bin, 'initdb'), initdb, { cwd: root, ...user });
    } else {
      const backup = ['-D', data, '-d', options.copyOf, '-c', 'fast', '--no-sync'];
      await run(join(bin, 'pg_basebackup'), backup, { cwd: root, ...user });
    }
    await start();
  } catch (error) {
    await home.remove();
    throw error;
  }
  return {
    url,
    port,
    home: home.path,
    get isRunning() {
      return server?.isRunning ?? false;
    },
    kill9: () => end('SIGKILL'),
    start: async () => {
      if (!server?.isRunning) await start();
    },
    async immediateRestart() {
      await end('SIGQUIT');
      await start();
    },
    stop: () => end('SIGINT'),
    async remove() {
      await end('SIGQUIT');
      await home.remove();
    },
  };
}

async function probePostgres(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
  } finally {
    await client.end();
  }
}
