import { userInfo } from 'node:os';
import { postgresBinaries, rabbitBinaries } from './binaries.ts';
import { startOwnPostgres } from './own-postgres.ts';
import { startOwnRabbit } from './own-rabbit.ts';
import { probeBroker, probeDatabase } from './probe.ts';
import { readRecord, type ServerRecord } from './record.ts';
import { removeKeptHome } from './server-home.ts';

export const SERVER_KINDS = ['broker', 'database'] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

/** A server for suites that do no harm, and where it came from. */
export interface FoundServer extends ServerRecord {
  /** Takes it down when it was started for us; leaves it alone otherwise. */
  remove(): Promise<void>;
}

export interface FindOptions {
  /** What is started outlives this process. @default false */
  readonly keep?: boolean;
}

/** Thrown when there is no server; `message` has a line for each place looked in. */
export class NoServerError extends Error {}

interface Ways {
  readonly variable: string;
  readonly probe: (url: string) => Promise<void>;
  readonly localUrls: readonly string[];
  readonly container: (keep: boolean) => Promise<{ readonly url: string; readonly id: string }>;
  readonly binaries: () => Promise<string | undefined>;
  readonly start: (keep: boolean) => Promise<{ readonly url: string; readonly home: string; remove(): Promise<void> }>;
}

const WAYS: Readonly<Record<ServerKind, Ways>> = {
  broker: {
    variable: 'SVC_COMM_TEST_BROKER_URL',
    probe: probeBroker,
    localUrls: ['amqp://guest:guest@127.0.0.1:5672'],
    container: async (keep) => (await import('./container.ts')).startBrokerContainer(keep),
    binaries: rabbitBinaries,
    start: (keep) => startOwnRabbit({ keep }),
  },
  database: {
    variable: 'SVC_COMM_TEST_DATABASE_URL',
    probe: probeDatabase,
    localUrls: [
      'postgres://postgres@127.0.0.1:5432/postgres',
      'postgres://postgres:postgres@127.0.0.1:5432/postgres',
      `postgres://${encodeURIComponent(userInfo().username)}@127.0.0.1:5432/postgres`,
    ],
    container: async (keep) => (await import('./container.ts')).startDatabaseContainer(keep),
    binaries: postgresBinaries,
    // Nothing that is kept depends on it, so it may forget what a failing machine makes it forget.
    start: (keep) => startOwnPostgres({ keep, fsync: false }),
  },
};

/**
 * The first that answers of: the environment variable, what `npm run test:servers` has left running, localhost's
 * standard port, Docker, this machine's binaries in a temporary folder.
 * @throws NoServerError
 */
export async function findServer(kind: ServerKind, { keep = false }: FindOptions = {}): Promise<FoundServer> {
  const ways = WAYS[kind];
  const given = process.env[ways.variable];
  if (given) {
    await ways.probe(given).catch((cause: unknown) => {
      throw new NoServerError(`${ways.variable} is set, but its server is of no use: ${text(cause)}`, { cause });
    });
    return { kind: 'environment', url: given, remove };
  }
  const tried: string[] = [];
  const recorded = (await readRecord())?.[kind];
  if (recorded) {
    const failure = await failureOf(ways.probe(recorded.url));
    if (!failure) return { ...recorded, remove };
    tried.push(`left by npm run test:servers: ${failure}`);
  }
  for (const url of ways.localUrls) {
    const failure = await failureOf(ways.probe(url));
    if (!failure) return { kind: 'localhost', url, remove };
    tried.push(`${new URL(url).host}, user ${new URL(url).username}: ${failure}`);
  }
  try {
    const { url, id } = await ways.container(keep);
    return {
      kind: 'docker',
      url,
      container: id,
      remove: async () => (await import('./container.ts')).removeContainer(id),
    };
  } catch (error) {
    const isMissing = text(error).includes('Could not find a working container runtime strategy');
    tried.push(`Docker: ${isMissing ? 'does not run' : text(error)}`);
  }
  if (!(await ways.binaries())) {
    tried.push('binaries: not installed');
    throw new NoServerError(`no ${kind} for the tests\n${tried.map((line) => `  ${line}`).join('\n')}`);
  }
  const own = await ways.start(keep);
  return { kind: 'binaries', url: own.url, home: own.home, remove: () => own.remove() };
}

/** Takes down what a record names. */
export async function removeRecorded(record: ServerRecord): Promise<void> {
  if (record.home) await removeKeptHome(record.home);
  if (record.container) await (await import('./container.ts')).removeContainer(record.container);
}

/** Both; sets the variables that the tests read. Prints which were found, in one line. */
export async function findServers(): Promise<{ remove(): Promise<void> }> {
  const found: FoundServer[] = [];
  const removeAll = async (): Promise<void> => {
    for (const server of found.splice(0)) await server.remove();
  };
  try {
    const words: string[] = [];
    for (const kind of SERVER_KINDS) {
      const server = await findServer(kind);
      found.push(server);
      words.push(`${kind} ${server.kind} (${new URL(server.url).host})`);
      process.env[WAYS[kind].variable] = server.url;
    }
    console.log(`servers: ${words.join(', ')}`);
  } catch (error) {
    await removeAll();
    throw error;
  }
  return { remove: removeAll };
}

const remove = async (): Promise<void> => undefined;
const text = (error: unknown): string => (error instanceof Error ? error.message || String(error) : String(error));
const failureOf = (attempt: Promise<void>): Promise<string | undefined> => attempt.then(() => undefined, text);
