import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Finding, ProblemCode } from '../../src/doctor/problems.ts';
import { bin, CliProject, CONSUMER } from '../support/cli-project.ts';
import { startOwnPostgres } from '../support/own-servers.ts';
import { freePort } from '../support/servers/free-port.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';

/** A project with everything in order: tables, queues, a consumer and a publisher that run. */
const healthy = new CliProject({ 'src/consumers.ts': CONSUMER });
const database = new pg.Client({ connectionString: testDatabaseUrl() });
let broker: Awaited<ReturnType<typeof connect>>;
let proxy: TcpProxy;

beforeAll(async () => {
  await database.connect();
  broker = await connect(testBrokerUrl());
  proxy = await TcpProxy.to(testDatabaseUrl());
  expect((await healthy.cli('migrate')).code).toBe(0);
  const consumer = healthy.startCli('runconsumer', '--log-level', 'info');
  const publisher = healthy.startCli('runpublisher', '--log-level', 'info');
  await consumer.line('consuming from queue');
  await publisher.line('publishing from the outbox');
});
afterAll(async () => {
  await healthy.remove();
  await broker.close();
  await database.end();
  await proxy.close();
});

interface Report {
  readonly healthy: boolean;
  readonly wrong: number;
  readonly warnings: number;
  readonly findings: readonly Finding[];
}

type Environment = Readonly<Record<string, string | undefined>>;

async function examined(project: CliProject, environment: Environment = {}) {
  const { code, stdout, stderr } = await project.run([bin, 'doctor', '--json'], environment);
  let report: Report;
  try {
    report = JSON.parse(stdout) as Report;
  } catch {
    throw new Error(`no report, exit ${code}: ${stdout}${stderr}`);
  }
  const codes = report.findings.flatMap(({ code: found }) => (found === undefined ? [] : [found]));
  return { code, report, codes };
}

const table = (name: string) => `"${healthy.name}".${name}`;

describe('doctor', () => {
  it('finds nothing where all is well, says what it looked at, and exits 0', async () => {
    const { code, report, codes } = await examined(healthy);
    expect(codes).toEqual([]);
    expect({ code, ...report }).toMatchObject({ code: 0, healthy: true, wrong: 0, warnings: 0 });
    const areas = new Set(report.findings.map(({ area }) => area));
    expect([...areas]).toEqual([
      'settings',
      'consumers',
      'broker',
      'topology',
      'queues',
      'database',
      'tables',
      'outbox',
      'tasks',
    ]);
    const { stdout } = await healthy.cli('doctor');
    expect(stdout).toMatch(/^ok {7}settings {3}app id /);
    expect(stdout).toMatch(/all is well\n$/);
  });

  it('prints what to do beside each problem, and no password', async () => {
    const url = new URL(testBrokerUrl());
    url.password = 'not-the-password';
    const { code, stdout } = await healthy.run([bin, 'doctor'], { SVC_COMM_BROKER_URL: url.href });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^wrong {4}broker {5}.*\[broker-refused\]\n +→ check user, password/m);
    expect(stdout).toMatch(/1 wrong, 0 to look at: see docs\/troubleshooting\.md\n$/);
    expect(stdout).not.toContain('not-the-password');
  });

  interface Fault {
    readonly code: ProblemCode;
    readonly environment?: () => Environment | Promise<Environment>;
    /** @returns takes it away again */
    readonly plant?: () => Promise<() => Promise<unknown>>;
    readonly text: RegExp;
    /** Other lines that the same fault brings. */
    readonly also?: readonly ProblemCode[];
  }

  const asItsRole = () => {
    const url = new URL(testDatabaseUrl());
    url.username = healthy.name;
    url.password = 'doctor';
    return { SVC_COMM_DATABASE_URL: url.href };
  };

  /** On the healthy project: each by itself, and nothing else is found. */
  const faults: readonly Fault[] = [
    {
      code: 'settings-wrong',
      environment: () => ({ SVC_COMM_PREFETCH: 'many' }),
      text: /prefetch: expected .*, got .*many.*, from SVC_COMM_PREFETCH/,
    },
    {
      code: 'pool-small',
      environment: () => ({ SVC_COMM_POOL_MAX: '3' }),
      text: /pool\.max is 3 and concurrency is 20/,
    },
    {
      code: 'consumers-broken',
      environment: () => {
        writeFileSync(
          join(healthy.root, 'broken.mjs'),
          'import "svc-comm"; throw new Error("no redis://u:c4n4ry@cache");',
        );
        return { SVC_COMM_CONSUMERS: '["broken.mjs"]' };
      },
      text: /broken\.mjs could not be loaded: no redis:\/\/u:\*\*\*@cache/,
    },
    {
      code: 'consumers-unbound',
      environment: () => ({ SVC_COMM_BINDS: JSON.stringify([[healthy.exchange, 'nobody.*']]) }),
      text: /onOrder.* is not among the binds of queue/,
    },
    {
      code: 'broker-unreachable',
      environment: async () => ({ SVC_COMM_BROKER_URL: `amqp://guest:guest@127.0.0.1:${await freePort()}` }),
      text: /ECONNREFUSED/,
    },
    {
      code: 'broker-node-down',
      environment: async () => ({
        SVC_COMM_BROKER_URL: JSON.stringify([testBrokerUrl(), `amqp://guest:guest@127.0.0.1:${await freePort()}`]),
      }),
      text: /ECONNREFUSED/,
    },
    {
      code: 'topology-differs',
      environment: () => ({
        SVC_COMM_QUEUE: JSON.stringify({ name: healthy.queue, singleActiveConsumer: true }),
      }),
      text: /wanted x-single-active-consumer = true, found .*: set queue to what is there/,
    },
    {
      code: 'dead-letters',
      plant: async () => {
        const channel = await broker.createConfirmChannel();
        channel.sendToQueue(`${healthy.queue}.dead`, Buffer.from('{}'), { persistent: true });
        await channel.waitForConfirms();
        return () => channel.purgeQueue(`${healthy.queue}.dead`);
      },
      text: /^1 in .*\.dead$/,
    },
    {
      code: 'retention-short',
      plant: async () => {
        const time = new Date(Date.now() - 8 * 86_400_000).toISOString();
        const headers = {
          'svc-comm-exchange': 'x',
          'svc-comm-routing-key': 'k',
          'svc-comm-reason': 'attempts',
          'svc-comm-failures': JSON.stringify([{ time, code: 'Error', message: 'no', host: 'h' }]),
        };
        const channel = await broker.createConfirmChannel();
        channel.sendToQueue(`${healthy.queue}.dead`, Buffer.from('{}'), { persistent: true, headers });
        await channel.waitForConfirms();
        return () => channel.purgeQueue(`${healthy.queue}.dead`);
      },
      text: /the inbox remembers for 7 d, and something in the dead letters is 8 d old/,
      also: ['dead-letters'],
    },
    {
      code: 'database-unreachable',
      environment: async () => ({
        SVC_COMM_DATABASE_URL: `postgres://postgres@127.0.0.1:${await freePort()}/postgres`,
      }),
      text: /ECONNREFUSED/,
    },
    {
      code: 'database-refused',
      environment: () => {
        const url = new URL(testDatabaseUrl());
        url.pathname = `/${healthy.name}_missing`;
        return { SVC_COMM_DATABASE_URL: url.href };
      },
      text: /does not exist/,
    },
    {
      code: 'clock-difference',
      environment: () => {
        const file = join(healthy.root, 'late.mjs');
        writeFileSync(file, 'const now = Date.now; Date.now = () => now() - 600_000;');
        return { NODE_OPTIONS: `--import ${file}` };
      },
      text: /the database's clock is 10 min ahead of this machine's/,
    },
    {
      code: 'no-notifications',
      environment: () => {
        // As a pooler in transaction mode: everything passes but NotificationResponse, which is the message `A`.
        proxy.filterToClient = () => (bytes) => (bytes[0] === 0x41 ? Buffer.alloc(0) : bytes);
        return { SVC_COMM_DATABASE_URL: proxy.url(testDatabaseUrl()) };
      },
      text: /did not arrive within 2 s/,
    },
    {
      code: 'migrations-missing',
      environment: () => ({ SVC_COMM_SCHEMA: `${healthy.name}_bare` }),
      text: /not run in schema .*: 001_outbox\.sql, 002_inbox\.sql/,
    },
    {
      code: 'table-rights',
      plant: async () => {
        await database.query(`CREATE ROLE "${healthy.name}" LOGIN PASSWORD 'doctor'`);
        await database.query(`GRANT USAGE ON SCHEMA "${healthy.name}" TO "${healthy.name}"`);
        await database.query(
          `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${healthy.name}" TO "${healthy.name}"`,
        );
        await database.query(`REVOKE DELETE ON ${table('svc_comm_outbox')} FROM "${healthy.name}"`);
        return async () => {
          await database.query(`DROP OWNED BY "${healthy.name}"`);
          await database.query(`DROP ROLE "${healthy.name}"`);
        };
      },
      environment: asItsRole,
      text: /^not all rights on svc_comm_outbox of schema /,
    },
    {
      code: 'table-rights',
      plant: async () => {
        await database.query(`CREATE ROLE "${healthy.name}" LOGIN PASSWORD 'doctor'`);
        return () => database.query(`DROP ROLE "${healthy.name}"`);
      },
      environment: asItsRole,
      text: /^not all rights on svc_comm_future, .*, svc_comm_migrations, svc_comm_outbox, .* of schema /,
    },
    {
      code: 'outbox-refused',
      plant: async () => {
        await database.query(
          `INSERT INTO ${table('svc_comm_outbox')} (part, message_id, exchange, routing_key, body, attempts, next_attempt_at, last_error)
           VALUES (0, gen_random_uuid(), 'x', 'k', '{}', 1, now() + interval '1 hour', 'NOT_FOUND - no exchange')`,
        );
        return () => database.query(`DELETE FROM ${table('svc_comm_outbox')}`);
      },
      text: /1 events were refused, the last: NOT_FOUND - no exchange/,
    },
    {
      code: 'outbox-late',
      plant: async () => {
        await database.query(
          `INSERT INTO ${table('svc_comm_outbox')} (part, message_id, exchange, routing_key, body, created_at, attempts, next_attempt_at)
           VALUES (0, gen_random_uuid(), 'x', 'k', '{}', now() - interval '2 hours', 1, now() + interval '1 hour')`,
        );
        return () => database.query(`DELETE FROM ${table('svc_comm_outbox')}`);
      },
      text: /the oldest event waits for 2 h/,
      also: ['outbox-refused'],
    },
    {
      code: 'tasks-waiting',
      plant: async () => {
        await database.query(
          `INSERT INTO ${table('svc_comm_task')} (id, name, state, args, queue, result_ttl_ms, due_at)
           SELECT gen_random_uuid(), name, state, '{}', 'nobody.tasks', 1000, now() + due::interval
             FROM (VALUES ('young', 'PENDING', '-10 s'), ('later', 'PENDING', '1 h'), ('runs', 'STARTED', '-1 h'),
               ('ended', 'SUCCESS', '-1 h'), ('renamed', 'PENDING', '-2 min'), ('renamed', 'PENDING', '-2 h')) AS t(name, state, due)`,
        );
        return () => database.query(`DELETE FROM ${table('svc_comm_task')}`);
      },
      text: /^renamed: 2 due and not begun, the oldest since \S+Z \(2 h\)$/,
    },
  ];

  const find = async ({ code, environment, plant, text, also = [] }: Fault): Promise<void> => {
    const remove = await plant?.();
    try {
      const { code: exit, report, codes } = await examined(healthy, await environment?.());
      expect(codes).toEqual(expect.arrayContaining([code, ...also]));
      expect(new Set(codes)).toEqual(new Set([code, ...also]));
      const finding = report.findings.find((one) => one.code === code);
      expect(finding?.text).toMatch(text);
      expect(finding?.todo).toMatch(/\w/);
      expect(exit).toBe(report.wrong > 0 ? 1 : 0);
    } finally {
      await remove?.();
    }
  };

  // Those that nobody else sees run beside each other: most of their time is the start of a process.
  it.concurrent.each(faults.filter(({ plant }) => !plant))('finds $code, and nothing else', find);
  it.each(faults.filter(({ plant }) => plant))('finds $code, and nothing else, where it was planted', find);

  describe('of a project whose processes do not run', () => {
    const idle = new CliProject({ 'src/consumers.ts': CONSUMER });
    afterAll(() => idle.remove());
    beforeEach(async () => {
      expect((await idle.cli('migrate')).code).toBe(0);
    });

    it('finds queues that nobody made, no consumer, and events without a publisher', async () => {
      expect((await examined(idle)).codes).toEqual(Array.from({ length: 3 }, () => 'topology-not-yet'));
      const verifying = await examined(idle, { SVC_COMM_DECLARE: 'verify' });
      expect(verifying.codes).toEqual(Array.from({ length: 3 }, () => 'topology-missing'));
      expect(verifying.code).toBe(1);
      const consumer = idle.startCli('runconsumer', '--log-level', 'info');
      await consumer.line('consuming from queue');
      expect(await consumer.stop()).toBe(0);
      await database.query(
        `INSERT INTO "${idle.name}".svc_comm_outbox (part, message_id, exchange, routing_key, body)
         VALUES (0, gen_random_uuid(), 'x', 'k', '{}')`,
      );
      await database.query(
        `INSERT INTO "${idle.name}".svc_comm_future (due_at, message_id, exchange, routing_key, body)
         VALUES (now() - interval '2 hours', gen_random_uuid(), 'x', 'k', '{}')`,
      );
      const { code, codes, report } = await examined(idle);
      expect([...codes].sort()).toEqual(['no-publisher', 'queue-no-consumer']);
      expect(report.findings.find((one) => one.code === 'no-publisher')?.text).toMatch(
        /^2 events wait, the oldest for 2 h/,
      );
      expect(code).toBe(1);
      // It has looked, and made nothing.
      expect((await examined(idle, { SVC_COMM_QUEUE: `${idle.queue}.other` })).codes).toContain('topology-not-yet');
    });
  });

  it('finds that the database is a standby, which takes no LISTEN either', async () => {
    const own = await startOwnPostgres({ fsync: false });
    try {
      await own.stop();
      writeFileSync(join(own.home, 'postgres/data/standby.signal'), '');
      await own.start();
      const { codes, code } = await examined(healthy, { SVC_COMM_DATABASE_URL: own.url });
      expect([...codes].sort()).toEqual(['database-standby', 'migrations-missing']);
      expect(code).toBe(1);
    } finally {
      await own.remove();
    }
  });

  it('looks at the embedded broker and database of a project as at any other', async () => {
    const embedded = new CliProject({ 'src/consumers.ts': CONSUMER });
    try {
      const environment = {
        SVC_COMM_BROKER_URL: 'embedded:',
        SVC_COMM_DATABASE_URL: 'embedded:',
        SVC_COMM_SCHEMA: undefined,
      };
      const { codes, report, code } = await examined(embedded, environment);
      expect(new Set(codes)).toEqual(new Set(['topology-not-yet']));
      expect(code).toBe(0);
      expect(report.findings.map(({ text }) => text).join('\n')).toContain('embedded broker');
    } finally {
      await embedded.remove();
    }
  });

  it('says of embedded servers whose state cannot be used that it is the state, not the address', async () => {
    const embedded = new CliProject({ 'src/consumers.ts': CONSUMER, '.svc-comm': 'a file where the folder should be' });
    try {
      const environment = {
        SVC_COMM_BROKER_URL: 'embedded:',
        SVC_COMM_DATABASE_URL: 'embedded:',
        SVC_COMM_SCHEMA: undefined,
      };
      const { codes, code } = await examined(embedded, environment);
      expect(new Set(codes)).toEqual(new Set(['embedded-state']));
      expect(code).toBe(1);
    } finally {
      await embedded.remove();
    }
  });

  it('needs neither consumers nor a database: a project that only sends is well without', async () => {
    const bare = new CliProject();
    try {
      const { code, report, codes } = await examined(bare, { SVC_COMM_DATABASE_URL: undefined });
      expect({ code, codes }).toEqual({ code: 0, codes: [] });
      const texts = report.findings.map(({ text }) => text).join('\n');
      expect(texts).toContain('none in this project');
      expect(texts).toContain('no outbox, no inbox');
    } finally {
      await bare.remove();
    }
  });
});
