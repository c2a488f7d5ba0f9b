import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { epmdBinary, rabbitBinaries } from './binaries.ts';
import { freePort } from './free-port.ts';
import { ServerHome } from './server-home.ts';
import { launch, type ServerProcess, untilReady } from './server-process.ts';

const run = promisify(execFile);

export interface OwnRabbitOptions {
  /** Three make a cluster. @default 1 */
  readonly nodes?: 1 | 3;
  /** Lines of rabbitmq.conf, e.g. `{ consumer_timeout: '60000' }`. */
  readonly config?: Readonly<Record<string, string>>;
  /** Switched on from the start, e.g. `rabbitmq_auth_mechanism_ssl`. @default none */
  readonly plugins?: readonly string[];
  /** Outlives this process, until `removeKeptHome(home)`. @default false */
  readonly keep?: boolean;
}

/** A RabbitMQ that is a test's alone: its to kill. Without a node's number, a verb is for all nodes. */
export interface OwnRabbit {
  /** Of the first node, user guest. Stays the same over restarts. */
  readonly url: string;
  /** One for each node. */
  readonly urls: readonly string[];
  readonly port: number;
  readonly home: string;
  /** Erlang names, for `ctl('--node', …)`. */
  readonly nodeNames: readonly string[];
  /**
   * Call `flushDeclarations` before, when quorum queues were declared in the last second: the kill strands them
   * otherwise, and whatever is done with them waits for ever.
   */
  kill9(node?: number): Promise<void>;
  /**
   * Writes out the broker's list of quorum queues. RabbitMQ does so by itself every 0.5 s only (its Raft library keeps
   * the list in a DETS table), however long ago the declaration was answered.
   */
  flushDeclarations(): Promise<void>;
  /** Ends what runs gracefully, starts it again, resolves when it takes logins. After `kill9` or `stop` it only starts. */
  restart(node?: number): Promise<void>;
  /** Graceful: queues are written out. */
  stop(node?: number): Promise<void>;
  /** Cuts every client's connection, as an administrator does. */
  closeAllConnections(reason?: string): Promise<void>;
  /** `rabbitmqctl` on the first node that runs; resolves with its standard output. */
  ctl(...args: string[]): Promise<string>;
  /** Takes it down and removes its folder. Safe to repeat. */
  remove(): Promise<void>;
}

interface Node {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  process?: ServerProcess;
}

/**
 * A new RabbitMQ from this machine's binaries, in a temporary folder, on free ports of 127.0.0.1, with an Erlang name
 * server and a cookie of its own: it shares nothing with the machine's own broker.
 * @throws when there are no binaries, or it does not come up (with the end of its log)
 */
export async function startOwnRabbit(options: OwnRabbitOptions = {}): Promise<OwnRabbit> {
  const [bin, epmd] = await Promise.all([rabbitBinaries(), epmdBinary()]);
  if (!bin || !epmd) {
    throw new Error('no RabbitMQ binaries on this machine: install rabbitmq-server, or set SVC_COMM_TEST_RABBITMQ_BIN');
  }
  const home = await ServerHome.create('rabbit', { keep: options.keep ?? false });
  try {
    const nodes = await prepare(home, options);
    const [first, ...others] = nodes;
    if (!first) throw new Error('a cluster needs a node');
    await startNameServer(home, epmd, first);
    const start = (node: Node) => startNode(home, bin, node);
    await start(first);
    await Promise.all(others.map(start));
    return ownRabbit(home, nodes, first, start, (node, args) => ctl(bin, node, args));
  } catch (error) {
    await home.remove();
    throw error;
  }
}

function ownRabbit(
  home: ServerHome,
  nodes: readonly Node[],
  first: Node,
  start: (node: Node) => Promise<void>,
  ctlOn: (node: Node, args: string[]) => Promise<string>,
): OwnRabbit {
  const each = async (index: number | undefined, verb: (node: Node) => Promise<void>): Promise<void> => {
    const chosen = index === undefined ? nodes : nodes.slice(index, index + 1);
    // All at once: nodes of a cluster that were killed together wait for each other when they start.
    await Promise.all(chosen.map(verb));
  };
  const end = (signal: NodeJS.Signals) => async (node: Node) => node.process?.end(signal);
  const self: OwnRabbit = {
    url: first.url,
    urls: nodes.map((node) => node.url),
    port: first.port,
    home: home.path,
    nodeNames: nodes.map((node) => node.name),
    kill9: (index) => each(index, end('SIGKILL')),
    async flushDeclarations() {
      for (const { name } of nodes.filter((node) => node.process?.isRunning)) {
        await self.ctl('eval', '[ok = dets:sync(Table) || Table <- dets:all()].', '--node', name);
      }
    },
    async restart(index) {
      await each(index, end('SIGTERM'));
      await each(index, start);
    },
    stop: (index) => each(index, end('SIGTERM')),
    async closeAllConnections(reason = 'closed by a test') {
      await self.ctl('close_all_connections', reason);
    },
    ctl: (...args) => ctlOn(nodes.find((node) => node.process?.isRunning) ?? first, args),
    async remove() {
      await each(undefined, end('SIGKILL'));
      await home.remove();
    },
  };
  return self;
}

async function prepare(
  home: ServerHome,
  { nodes: count = 1, config = {}, plugins = [] }: OwnRabbitOptions,
): Promise<Node[]> {
  const epmdPort = await freePort();
  const cookie = randomBytes(12).toString('hex').toUpperCase();
  await writeFile(join(home.path, '.erlang.cookie'), cookie, { mode: 0o400 });
  const names = Array.from({ length: count }, (_, index) => `n${index + 1}-${epmdPort}@localhost`);
  const nodes: Node[] = [];
  for (const name of names) {
    const folder = join(home.path, name);
    const port = await freePort();
    const lines: Record<string, string> = {
      'listeners.tcp.1': `127.0.0.1:${port}`,
      'disk_free_limit.absolute': '50MB',
      'log.file.level': 'info',
      ...(count > 1 && { 'cluster_formation.peer_discovery_backend': 'classic_config' }),
      ...(count > 1 && Object.fromEntries(names.map((n, i) => [`cluster_formation.classic_config.nodes.${i + 1}`, n]))),
      ...config,
    };
    await mkdir(folder);
    await writeFile(join(folder, 'enabled_plugins'), `[${plugins.join(',')}].\n`);
    const text = Object.entries(lines).map(([key, value]) => `${key} = ${value}\n`);
    await writeFile(join(folder, 'rabbitmq.conf'), text.join(''));
    nodes.push({
      name,
      port,
      url: `amqp://guest:guest@127.0.0.1:${port}`,
      logFile: join(folder, 'console.log'),
      env: {
        HOME: home.path,
        ERL_EPMD_PORT: String(epmdPort),
        ERL_EPMD_ADDRESS: '127.0.0.1',
        RABBITMQ_NODENAME: name,
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_DIST_PORT: String(await freePort()),
        // One that dies, as a `rabbitmqctl` whose folder has gone, would leave megabytes in the working directory.
        ERL_CRASH_DUMP_SECONDS: '0',
        RABBITMQ_CONF_ENV_FILE: '/dev/null',
        RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
        RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, 'advanced.config'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
        RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
        RABBITMQ_LOG_BASE: join(folder, 'log'),
        RABBITMQ_PID_FILE: join(folder, 'pid'),
        RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'config'),
        RABBITMQ_SCHEMA_DIR: join(folder, 'schema'),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}',
        // The script then becomes the Erlang machine instead of watching over it, so our pid is the broker's.
        RUNNING_UNDER_SYSTEMD: 'true',
      },
    });
  }
  return nodes;
}

/** Started by hand: the one that Erlang would start as a daemon would outlive the test. */
async function startNameServer(home: ServerHome, command: string, { env }: Node): Promise<void> {
  const logFile = join(home.path, 'epmd.log');
  const server = await launch(home, { command, args: [], env, logFile });
  await untilReady(server, logFile, async () => {
    await run(command, ['-names'], { env: { ...process.env, ...env } });
  });
}

async function startNode(home: ServerHome, bin: string, node: Node): Promise<void> {
  if (node.process?.isRunning) return;
  const { env, logFile } = node;
  const server = await launch(home, { command: join(bin, 'rabbitmq-server'), args: [], env, logFile });
  node.process = server;
  await untilReady(server, logFile, async () => {
    const connection = await connect(node.url, { timeout: 5_000 });
    await connection.close();
  });
}

async function ctl(bin: string, { env, name }: Node, args: string[]): Promise<string> {
  const node = args.includes('--node') ? [] : ['--node', name];
  const { stdout } = await run(join(bin, 'rabbitmqctl'), [...args, ...node], {
    env: { PATH: process.env.PATH, LANG: 'C.UTF-8', ...env },
    maxBuffer: 1 << 26,
  });
  return stdout;
}
