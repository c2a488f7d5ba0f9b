import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectDatabase, DEFAULT_CONNECTION_OPTIONS } from '../../src/database/connection.ts';
import { sqlState } from '../../src/database/database-error.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { RelayLinks } from '../../src/outbox/relay-links.ts';
import { LogLines } from '../support/broker-kit.ts';
import { insertSql, RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { testDatabaseUrl } from '../support/servers.ts';

let kit: RelayKit;
beforeAll(async () => {
  const url = new URL(testDatabaseUrl());
  url.searchParams.set('options', '-c statement_timeout=300');
  kit = await relayKit('statement_timeout', { url: url.href });
});
afterAll(() => kit.close());

it('a read of a relay may take longer than its session lets statements take', async () => {
  const outbox = kit.db.table('svc_comm_outbox');
  const holder = await kit.db.pg.connect();
  await holder.query('SET statement_timeout = 0');
  await holder.query('BEGIN');
  await holder.query(insertSql(outbox), [JSON.stringify([{ key: 'a' }])]);
  await holder.query(`LOCK TABLE ${outbox} IN ACCESS EXCLUSIVE MODE`);
  const log = new LogLines();
  const pipe = new RecordingPipe();
  const { relay } = kit.relay(pipe, {}, log);
  await relay.start();
  await until('the read waits', async () => {
    const { rows } = await kit.db.pg.query(
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = $1`,
      [`${kit.db.schema} svc-comm relay read`],
    );
    return rows.length > 0;
  });
  // Twice as long as the limit.
  await holder.query('SELECT pg_sleep(0.6)');
  await holder.query('COMMIT');
  holder.release(true);
  await until('it is published and gone', async () => (await kit.db.count('svc_comm_outbox')) === 0);
  expect(pipe.offers).toHaveLength(1);
  const ended = log.lines.filter(({ fields }) => sqlState((fields as { error?: unknown }).error) === '57014');
  expect(ended).toEqual([]);
});

it('a statement that a relay has given up ends in the server as well', { timeout: 120_000 }, async () => {
  const applicationName = `${kit.db.schema} given up`;
  const links = new RelayLinks({
    connect: (_name, settings) => connectDatabase({ url: kit.db.url, applicationName, settings }),
    logger: silentLogger,
    onLost: () => undefined,
    onMoved: () => undefined,
  });
  const { statementDeadlineMs } = DEFAULT_CONNECTION_OPTIONS;
  const sleepy = `SELECT pg_sleep(${(3 * statementDeadlineMs) / 1000})`;
  const given = await Promise.allSettled(
    [links.read, links.write, links.control].map((link) => link.query(sleepy, [])),
  );
  expect(given.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  await until('none of them runs', async () => {
    const { rows } = await kit.db.pg.query(
      `SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND query LIKE '%pg_sleep%' AND state = 'active'`,
      [applicationName],
    );
    return rows.length === 0;
  });
  await links.close();
});
