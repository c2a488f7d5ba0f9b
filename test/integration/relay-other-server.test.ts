import { afterEach, beforeEach, expect, it } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import { migrate } from '../../src/database/migrate.ts';
import { DatabasePool } from '../../src/database/pool.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { Relay } from '../../src/outbox/relay.ts';
import type { RelayOptions } from '../../src/outbox/relay-options.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers.ts';
import { insertSql, RecordingPipe, type RowSpec, until } from '../support/relay-kit.ts';

/** So long that no lease runs out before the relay is at the other server: it has no other reason to begin anew. */
const LEASE_MS = 60_000;

let primary: OwnPostgres;
let standby: OwnPostgres | undefined;
let pipe: RecordingPipe;
let relay: Relay;
beforeEach(async () => {
  primary = await startOwnPostgres({ fsync: false });
  standby = undefined;
  const pool = new DatabasePool({ url: primary.url, applicationName: 'migrate' });
  await pool.start();
  await migrate(pool.knex, { schema: 'public' });
  await pool.stop();
  pipe = new RecordingPipe();
});
afterEach(async () => {
  await relay.stop();
  await Promise.all([primary.remove(), standby?.remove()]);
});

async function startRelay(options: RelayOptions): Promise<void> {
  relay = new Relay({
    connect: ({ settings }) => connectDatabase({ url: standby?.url ?? primary.url, settings }),
    pipe,
    schema: 'public',
    logger: silentLogger,
    options: { leaseMs: LEASE_MS, ...options },
  });
  await relay.start();
}

/** The primary ends, and the address leads to the other one. */
async function failOver(to: OwnPostgres): Promise<void> {
  standby = to;
  await primary.stop();
  await until('the relay is at the other server', () => relay.isConnected);
}

async function query(server: OwnPostgres, sql: string, params: readonly string[] = []) {
  const connection = await connectDatabase({ url: server.url });
  try {
    return await connection.query<{ n: number }>(sql, params);
  } finally {
    await connection.close();
  }
}
const insert = (server: OwnPostgres, rows: readonly RowSpec[]) =>
  query(server, insertSql('svc_comm_outbox'), [JSON.stringify(rows)]);
const count = async (server: OwnPostgres, rows: string) =>
  (await query(server, `SELECT count(*)::int AS n FROM ${rows}`))[0]?.n;

it('rows that were read and not sent are read again when the relay comes to another server: what that one does not have is not sent, and the others are in their order', async () => {
  await startRelay({});
  pipe.isDown = true;
  await insert(primary, [{ key: 'k', body: '1' }, { body: '"no key"' }]);
  const lagging = await startOwnPostgres({ fsync: false, copyOf: primary.url });
  await insert(primary, [{ key: 'k', body: '"lost"' }, { body: '"lost, no key"' }]);
  await until('all are read', () => relay.held === 4);
  // The first two have the ids of the rows that are lost.
  await insert(
    lagging,
    [2, 3, 4].map((n) => ({ key: 'k', body: `${n}` })),
  );
  await failOver(lagging);
  pipe.isDown = false;
  await until('all are gone', async () => (await count(lagging, 'svc_comm_outbox')) === 0);
  const [noKey, ofKey] = [['"no key"'], ['1', '2', '3', '4']];
  expect(pipe.bodies().filter((body) => !ofKey.includes(body))).toEqual(noKey);
  expect(pipe.bodies().filter((body) => !noKey.includes(body))).toEqual(ofKey);
});

it('a parked relay that comes to a server without its flag is told of commits again', async () => {
  await startRelay({ pollMs: 600_000 });
  await until('it is parked', () => relay.isParked);
  const lagging = await startOwnPostgres({ fsync: false, copyOf: primary.url });
  await query(lagging, 'UPDATE svc_comm_relay_lease SET parked = false');
  await failOver(lagging);
  await until(
    'its partitions are flagged',
    async () => (await count(lagging, 'svc_comm_relay_lease WHERE NOT parked')) === 0,
  );
  await until('it is parked', () => relay.isParked);
  await insert(lagging, [{ key: 'k' }]);
  await until('it is sent', () => pipe.offers.length === 1);
});
