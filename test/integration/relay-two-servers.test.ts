import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { connectDatabase } from '../../src/database/connection.ts';
import type { DatabaseLink } from '../../src/database/link.ts';
import { RelayLinks } from '../../src/outbox/relay-links.ts';
import { LogLines } from '../support/broker-kit.ts';
import { type OwnPostgres, startOwnPostgres } from '../support/own-servers.ts';
import { until } from '../support/relay-kit.ts';

let before: OwnPostgres;
let after: OwnPostgres;
beforeAll(async () => {
  [before, after] = await Promise.all([startOwnPostgres({ fsync: false }), startOwnPostgres({ fsync: false })]);
});
afterAll(() => Promise.all([before?.remove(), after?.remove()]));

let attempts: number;
let log: LogLines;
let links: RelayLinks;
beforeEach(() => {
  attempts = 0;
  log = new LogLines();
});
afterEach(() => links.close());

/** @param address where it leads for the nth attempt to connect */
function linksTo(address: (attempt: number) => OwnPostgres): void {
  links = new RelayLinks({
    connect: (_name, settings) => {
      attempts += 1;
      return connectDatabase({ url: address(attempts).url, settings });
    },
    logger: log,
    onLost: () => undefined,
    onMoved: () => undefined,
  });
}
const all = (): readonly DatabaseLink[] => [links.read, links.write, links.control];
async function ports(): Promise<readonly number[]> {
  const rows = await Promise.all(
    all().map((link) => link.query<{ port: number }>('SELECT inet_server_port() AS port', [])),
  );
  return rows.map(([row]) => row?.port ?? 0);
}

it.each(['read', 'write', 'control'] as const)(
  'a relay whose address moves when only %s has connected has all connections to the new server, though the old one takes writes',
  async (first) => {
    let hasMoved = false;
    linksTo(() => (hasMoved ? after : before));
    const early = links[first];
    const late = all().filter((link) => link !== early);
    await early.connected();
    hasMoved = true;
    await Promise.all(late.map((link) => link.connected()));
    await until('all are there', () => links.isConnected);
    expect(await ports()).toEqual([after.port, after.port, after.port]);
  },
);

it('a relay whose address leads to two servers in turn settles on one of them, with one line in the log for each connection that waits', async () => {
  linksTo((attempt) => (attempt % 2 === 0 ? before : after));
  await Promise.all(all().map((link) => link.connected()));
  await until('all are there', () => links.isConnected);
  const found = await ports();
  expect(new Set(found).size).toBe(1);
  const settled = attempts;
  await links.read.query('SELECT pg_sleep(1)', []);
  expect(await ports()).toEqual(found);
  expect(attempts).toBe(settled);
  const waited = log.lines
    .filter(({ level }) => level === 'warn')
    .map(({ fields }) => (fields as { connection?: string }).connection);
  expect(waited).toEqual([...new Set(waited)]);
});
