import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { EmbeddedDatabase } from '../../src/embedded/database/embedded-database.ts';
import { HostLock } from '../../src/embedded/hosting/host-lock.ts';
import { bin, CliProject, type Running } from '../support/cli-project.ts';

const EMBEDDED = {
  SVC_COMM_BROKER_URL: 'embedded:',
  SVC_COMM_DATABASE_URL: 'embedded:',
  SVC_COMM_SCHEMA: 'public',
  SVC_COMM_QUEUE: 'work',
};

const CONSUMERS = `
import { eventConsumer, messageRouter } from 'svc-comm';

messageRouter.consumer('EXCHANGE')(eventConsumer(async ({ id }, event, context) => {
  await context.transaction('effect').insert({ id, key: event.key ?? id % 5 });
}));
`;

/** Writes rows with their events, one transaction each; tries one that failed again, for it may have been committed. */
const PRODUCE = `
import { close, publishAggregateEvent, transaction } from 'svc-comm';

const [first, last] = process.argv.slice(2).map(Number);
await transaction(async (trx) => {
  await trx.raw('CREATE TABLE IF NOT EXISTS written (id int PRIMARY KEY)');
  await trx.raw('CREATE TABLE IF NOT EXISTS effect (n serial, id int, key text)');
});
for (let id = first; id <= last; id += 1) {
  for (;;) {
    try {
      await transaction(async (trx) => {
        const { rowCount } = await trx.raw('INSERT INTO written VALUES (?) ON CONFLICT DO NOTHING', [id]);
        if (rowCount === 0) return;
        const key = String(id % 5);
        await publishAggregateEvent({ aggregate: 'EXCHANGE', eventType: 'x', payload: { id }, key });
        if (id % 10 === 0) throw new Error('rolled back on purpose');
      });
      break;
    } catch (error) {
      if (error.message === 'rolled back on purpose') break;
      console.log('failed', id, error.code);
    }
  }
  console.log('committed', id);
}
await close();
`;

/** By a connection of its own: what was written, what came of it. */
const REPORT = `
import { close, transaction } from 'svc-comm';

const one = (sql) => transaction(async (trx) => (await trx.raw(sql)).rows[0].n);
const report = {
  written: await one('SELECT count(*)::int AS n FROM written'),
  waiting: await one('SELECT count(*)::int AS n FROM svc_comm_outbox'),
  effects: await one('SELECT count(*)::int AS n FROM effect'),
  lost: await one('SELECT count(*)::int AS n FROM written w WHERE NOT EXISTS (SELECT 1 FROM effect e WHERE e.id = w.id)'),
  ghosts: await one('SELECT count(*)::int AS n FROM effect e WHERE NOT EXISTS (SELECT 1 FROM written w WHERE e.id = w.id)'),
  doubled: await one('SELECT count(*)::int AS n FROM (SELECT id FROM effect GROUP BY id HAVING count(*) > 1) d'),
  inversions: await one('SELECT count(*)::int AS n FROM effect a JOIN effect b ON a.key = b.key AND a.n < b.n AND a.id > b.id'),
};
console.log(JSON.stringify(report));
await close();
`;

const project = new CliProject({ 'src/consumers.js': CONSUMERS, 'produce.mjs': PRODUCE, 'report.mjs': REPORT });
const start = (...args: string[]): Running => project.start(args, EMBEDDED);
const runcli = (...args: string[]): Running => start(bin, ...args);
afterAll(() => project.remove());

/** How much slower this machine is at the moment than one where Node starts in 100 ms. */
function slowness(): number {
  const started = performance.now();
  execFileSync(process.execPath, ['-e', '0']);
  return Math.max(1, (performance.now() - started) / 100);
}

async function report() {
  const { stdout, stderr, code } = await project.run(['report.mjs'], EMBEDDED);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const line = stdout.split('\n').find((text) => text.startsWith('{"written"'));
  return JSON.parse(line ?? '{}') as Record<string, number>;
}

async function untilAllHandled(written: number) {
  const end = performance.now() + 90_000;
  for (;;) {
    const now = await report();
    if ((now.effects === written && now.waiting === 0) || performance.now() > end) return now;
  }
}

/** What a process serves: it keeps it until it ends. Broker and database are taken over one by one, by whoever is first. */
const servedBy = ({ lines }: Running): string[] =>
  ['broker', 'database'].filter((what) =>
    lines.some(
      (line) => line.includes(`serving the embedded ${what}`) || line.includes(`took over the embedded ${what}`),
    ),
  );

/** Kills a host and waits until the others serve again what it served. @returns how long that took, in ms */
async function killHost(host: Running, others: readonly Running[]): Promise<number> {
  const from = others.map(({ lines }) => lines.length);
  const served = servedBy(host);
  expect(served).not.toEqual([]);
  const killed = performance.now();
  await host.stop('SIGKILL');
  await Promise.all(
    served.map((what) =>
      Promise.any(others.map((other, index) => other.line(`took over the embedded ${what}`, from[index]))),
    ),
  );
  return performance.now() - killed;
}

it('says what to install when the database is not there', async () => {
  const hide = `import { register } from 'node:module'; register('data:text/javascript,' + encodeURIComponent(
    "export async function resolve(name, context, next) {" +
    " if (name === '@electric-sql/pglite') throw new Error('Cannot find package');" +
    " return next(name, context); }"));`;
  const hidden = `data:text/javascript,${encodeURIComponent(hide)}`;
  const { code, stdout } = await project.run(['--import', hidden, bin, 'migrate', '--json'], EMBEDDED);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'SVC_COMM_EMBEDDED_DATABASE_MISSING' } });
  expect(stdout).toContain('npm install @electric-sql/pglite@0.5.14');
  expect(code).toBe(1);
});

const TAKEOVER_MS = 3000;

describe('three shells in one folder', () => {
  let publisher: Running;
  let consumer: Running;
  beforeAll(async () => {
    const migrated = await project.run([bin, 'migrate', '--json'], EMBEDDED);
    expect(JSON.parse(migrated.stdout).applied.length).toBeGreaterThan(1);
    await project.run(['produce.mjs', '1', '0'], EMBEDDED);
    publisher = runcli('runpublisher');
    await publisher.line('publishing from the outbox');
    consumer = runcli('runconsumer');
    await consumer.line('consuming from queue');
  });

  it('share one broker and one database: the first serves, the others join', () => {
    for (const what of ['broker', 'database']) {
      expect(publisher.lines.join('\n')).toContain(`serving the embedded ${what}`);
      expect(consumer.lines.join('\n')).toContain(`joined the embedded ${what}`);
    }
  });

  it('go on within 3 s when the one that serves is killed, and nothing is lost, doubled or out of order', async () => {
    const budget = TAKEOVER_MS * slowness();
    const producer = start('produce.mjs', '1', '400');
    await producer.line('committed 100');
    const tookMs = await killHost(publisher, [consumer, producer]);
    await producer.line('committed 130');
    expect(tookMs).toBeLessThan(Math.max(budget, TAKEOVER_MS * slowness()));
    // The relay died with its host: another one takes its rows.
    publisher = runcli('runpublisher');
    expect(await producer.exit).toBe(0);
    const seen = await untilAllHandled(360);
    expect(seen).toEqual({ written: 360, waiting: 0, effects: 360, lost: 0, ghosts: 0, doubled: 0, inversions: 0 });
    console.log(`served again ${tookMs.toFixed(0)} ms after the publisher that served was killed`);
  });

  it('so they do when the consumer serves and is killed in the middle of its work', async () => {
    // Whoever serves now is the consumer or nobody: the publishing script has ended.
    const budget = TAKEOVER_MS * slowness();
    const hosts = servedBy(consumer).length > 0;
    const producer = start('produce.mjs', '401', '700');
    await producer.line('committed 500');
    const host = hosts ? consumer : publisher;
    const tookMs = await killHost(host, [hosts ? publisher : consumer, producer]);
    expect(tookMs).toBeLessThan(Math.max(budget, TAKEOVER_MS * slowness()));
    const again = runcli(hosts ? 'runconsumer' : 'runpublisher');
    expect(await producer.exit).toBe(0);
    const seen = await untilAllHandled(630);
    // What each process said last tells where the others are.
    const said = [again, hosts ? publisher : consumer].map(({ lines }) => lines.slice(-15).join('\n')).join('\n\n');
    expect(seen, said).toEqual({
      written: 630,
      waiting: 0,
      effects: 630,
      lost: 0,
      ghosts: 0,
      doubled: 0,
      inversions: 0,
    });
    console.log(`served again ${tookMs.toFixed(0)} ms after the ${hosts ? 'consumer' : 'publisher'} was killed`);
    for (const running of [again, hosts ? publisher : consumer]) expect(await running.stop('SIGTERM')).toBe(0);
  });
});

it('a consumer whose host is killed does not work on the servers of another project that took its ports', async () => {
  const other = new CliProject({ 'src/consumers.js': CONSUMERS, 'produce.mjs': PRODUCE, 'report.mjs': REPORT });
  const run = (...args: string[]): Running => other.start(args, EMBEDDED);
  const theirs: (EmbeddedBroker | EmbeddedDatabase)[] = [];
  try {
    await other.run(['produce.mjs', '1', '0'], EMBEDDED);
    const publisher = run(bin, 'runpublisher');
    await publisher.line('publishing from the outbox');
    const consumer = run(bin, 'runconsumer');
    await consumer.line('consuming from queue');
    const portOf = async (what: string) =>
      (await HostLock.holder(join(other.root, '.svc-comm'), what))?.record.port ??
      expect.fail(`nobody serves the ${what}`);
    const ports = { broker: await portOf('broker'), database: await portOf('database') };

    consumer.child.kill('SIGSTOP');
    await publisher.stop('SIGKILL');
    const broker = new EmbeddedBroker({ port: ports.broker });
    const database = new EmbeddedDatabase({ port: ports.database, password: 'another' });
    theirs.push(broker, database);
    for (const server of theirs) await server.start();
    consumer.child.kill('SIGCONT');
    await consumer.line('took over the embedded broker');
    await consumer.line('took over the embedded database');

    run(bin, 'runpublisher');
    expect(await run('produce.mjs', '1', '50').exit).toBe(0);
    await expect
      .poll(async () => (await other.run(['report.mjs'], EMBEDDED)).stdout, { timeout: 90_000 })
      .toContain('{"written":45,"waiting":0,"effects":45,"lost":0,"ghosts":0,"doubled":0,"inversions":0}');
    expect({ connections: broker.connectionCount, queues: broker.queues() }).toEqual({ connections: 0, queues: [] });
  } finally {
    await other.remove();
    for (const server of theirs) await server.stop();
  }
});
