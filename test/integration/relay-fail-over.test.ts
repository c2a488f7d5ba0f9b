import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LogLines } from '../support/broker-kit.ts';
import { RecordingPipe, type RelayKit, relayKit, until } from '../support/relay-kit.ts';
import { testDatabaseUrl, uniqueName } from '../support/servers.ts';

const database = uniqueName('fail_over');
const admin = new pg.Client({ connectionString: testDatabaseUrl() });
let kit: RelayKit;

beforeAll(async () => {
  await admin.connect();
  await admin.query(`CREATE DATABASE ${database}`);
  const url = new URL(testDatabaseUrl());
  url.pathname = `/${database}`;
  kit = await relayKit('fail_over', { url: url.href });
});
afterEach(() => writable(true));
afterAll(async () => {
  await kit.close();
  await admin.query(`DROP DATABASE ${database}`);
  await admin.end();
});

/** For sessions that begin from now on, as when the address leads to a standby: those that are there keep what they have. */
const writable = (is: boolean) =>
  admin.query(`ALTER DATABASE ${database} SET default_transaction_read_only = ${is ? 'off' : 'on'}`);

const LINKS = ['control', 'read', 'write'] as const;
type Link = (typeof LINKS)[number];
const nameOf = (link: Link) => `${kit.db.schema} svc-comm relay ${link}`;

/** Process ids, by link. */
async function sessions(): Promise<ReadonlyMap<Link, number>> {
  const { rows } = await admin.query('SELECT pid, application_name FROM pg_stat_activity WHERE datname = $1', [
    database,
  ]);
  const pids = new Map(rows.map((row) => [row.application_name, row.pid]));
  return new Map(LINKS.flatMap((link) => (pids.has(nameOf(link)) ? [[link, pids.get(nameOf(link))]] : [])));
}
const cut = async (link: Link) => admin.query('SELECT pg_terminate_backend($1)', [(await sessions()).get(link)]);

describe.each(LINKS)('a relay whose link %s is lost', (link) => {
  it('takes no server that refuses writes for it, is not ready meanwhile, and works when one takes them', async () => {
    const pipe = new RecordingPipe();
    const log = new LogLines();
    const { relay } = kit.relay(pipe, {}, log);
    await relay.start();
    await writable(false);
    await cut(link);
    const isRefused = () =>
      log.lines.some(({ fields }) => {
        const { connection, error } = fields as { connection?: string; error?: unknown };
        return connection === link && String(error).includes('refuses writes');
      });
    await until('it is refused', isRefused);
    expect(relay.isConnected).toBe(false);
    await writable(true);
    await kit.insert([{ key: 'a' }]);
    await until('it is published and gone', async () => (await kit.db.count('svc_comm_outbox')) === 0);
    expect(pipe.offers).toHaveLength(1);
    await until('all links are there', () => relay.isConnected);
    await relay.stop();
  });

  it('makes the others anew as well, whether there is something to publish or not: all three lead to the same server', async () => {
    const { relay } = kit.relay(new RecordingPipe());
    await relay.start();
    const before = await sessions();
    await cut(link);
    await until('all three are others', async () => {
      const now = await sessions();
      return LINKS.every((one) => now.has(one) && now.get(one) !== before.get(one));
    });
    await until('they are in use', () => relay.isConnected);
    const after = await sessions();
    await kit.insert([{ key: 'a' }]);
    await until('it is published and gone', async () => (await kit.db.count('svc_comm_outbox')) === 0);
    expect(await sessions()).toEqual(after);
    await relay.stop();
  });
});
