import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { cpus, loadavg, totalmem } from 'node:os';
import { connect } from 'amqplib';
import pg from 'pg';
import { testBrokerUrl, testDatabaseUrl } from '../test/support/servers.ts';

/** Ours and the other sides', as package.json of each says. */
const PACKAGES = ['amqplib', 'pg', 'knex', 'axios', 'undici', 'fastify', 'pino'] as const;
/** Installed by `npm ci --prefix bench` only. */
const PEERS = ['graphile-worker', 'pg-boss', 'pg-transactional-outbox'] as const;

export interface Versions {
  readonly commit: string | undefined;
  readonly packages: Readonly<Record<string, string | undefined>>;
  readonly rabbitmq: string | undefined;
  readonly postgresql: string | undefined;
  /** What a commit means there. */
  readonly postgresqlSettings: Readonly<Record<string, string>>;
}

export const machine = (): string =>
  `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB`;

/** The mean number of processes that want a core; on Windows 0. */
export const load = (): number => Math.round((loadavg()[0] ?? 0) * 10) / 10;

/** What can be told without a server is told when there is none. */
export async function readVersions(): Promise<Versions> {
  const require = createRequire(import.meta.url);
  const of = (name: string) => [name, versionOf(require, name)] as const;
  return {
    commit: git('rev-parse', '--short', 'HEAD'),
    packages: Object.fromEntries([...PACKAGES, ...PEERS].map(of)),
    rabbitmq: await rabbitVersion().catch(() => undefined),
    ...(await postgres().catch(() => ({ postgresql: undefined, postgresqlSettings: {} }))),
  };
}

function versionOf(require: NodeJS.Require, name: string): string | undefined {
  // Some hide their package.json from importers, so it is looked up in the folders that `require` would search.
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return String(require(`${folder}/${name}/package.json`).version);
    } catch {}
  }
  return undefined;
}

function git(...args: string[]): string | undefined {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

async function rabbitVersion(): Promise<string | undefined> {
  const model = await connect(testBrokerUrl());
  const { serverProperties } = model.connection;
  await model.close();
  return serverProperties.version;
}

async function postgres(): Promise<Pick<Versions, 'postgresql' | 'postgresqlSettings'>> {
  const client = new pg.Client({ connectionString: testDatabaseUrl() });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; setting: string }>(
      `SELECT name, setting FROM pg_settings
        WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'autovacuum', 'shared_buffers')`,
    );
    const { server_version: postgresql, ...postgresqlSettings } = Object.fromEntries(
      rows.map(({ name, setting }) => [name, setting]),
    );
    return { postgresql, postgresqlSettings };
  } finally {
    await client.end();
  }
}
