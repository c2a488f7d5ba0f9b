import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { defineProcess, processTask } from '../../src/process-door.ts';
import { deferred } from '../../src/util/deferred.ts';
import { until } from '../support/consumer-kit.ts';
import { ProcessKit } from '../support/process-kit.ts';
import { testDatabaseUrl, uniqueName } from '../support/servers.ts';
import { TransactionPooler } from '../support/transaction-pooler.ts';

const LEVELS = ['repeatable read', 'serializable'] as const;
const WAYS = ['by itself', 'through a pooler in transaction mode'] as const;
const idle = processTask({ name: 'idle' }, () => undefined);

describe("whatever the role's default isolation is", () => {
  const outside = new pg.Pool({ connectionString: testDatabaseUrl(), max: 2 });
  const role = uniqueName('isolated');
  const roleUrl = new URL(testDatabaseUrl());
  roleUrl.username = role;

  beforeAll(() => outside.query(`CREATE ROLE ${role} LOGIN SUPERUSER`));
  afterAll(async () => {
    await outside.query(`DROP ROLE ${role}`);
    await outside.end();
  });

  const waiting = async () => {
    const { rows } = await outside.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'`,
      [role],
    );
    return rows[0]?.n;
  };

  const instances = (kit: ProcessKit) => kit.db.table('svc_comm_process_instance');

  /** @returns ends the transaction that has run the statement */
  const held = async (sql: string, id: string) => {
    const holder = await outside.connect();
    await holder.query('BEGIN');
    await holder.query(sql, [id]);
    return async () => {
      await holder.query('COMMIT');
      holder.release();
    };
  };

  it.each(LEVELS.flatMap((level) => WAYS.map((way) => ({ level, way }))))(
    'an instance whose last two tasks end at the same time comes to its end: $level, $way',
    async ({ level, way }) => {
      await outside.query(`ALTER ROLE ${role} SET default_transaction_isolation = '${level}'`);
      const kit = await ProcessKit.create('real servers');
      const pooler = way === 'by itself' ? undefined : await TransactionPooler.to(roleUrl.href, 8);
      onTestFinished(async () => {
        await kit.close();
        await pooler?.close();
      });
      const url = pooler?.url(roleUrl.href) ?? roleUrl.href;
      const [first, second] = [kit.service({}, undefined, url), kit.service({}, undefined, url)];
      const processes = await first.processes();
      const { instance } = await processes.create('long', {});
      const [one = '', other = ''] = instance.tasks.map(({ taskId }) => taskId);
      const clients = [await first.tasks(), await second.tasks()] as const;

      const commit = await held(`SELECT FROM ${instances(kit)} WHERE id = $1 FOR UPDATE`, instance.id);
      const ends = [clients[0].cancel(one), clients[1].cancel(other)];
      await until(async () => (await waiting()) === 2);
      await commit();
      await Promise.all(ends);
      expect(await processes.find(instance.id)).toMatchObject({
        state: 'Cancelled',
        tasks: [{ status: 'REVOKED' }, { status: 'REVOKED' }],
      });
    },
  );

  it.each(LEVELS)('an instance whose row changes while it is handed to the workers is with them: %s', async (level) => {
    await outside.query(`ALTER ROLE ${role} SET default_transaction_isolation = '${level}'`);
    const kit = await ProcessKit.create('real servers');
    onTestFinished(() => kit.close());
    const processes = await kit.service({ lease: '1h' }, undefined, roleUrl.href).processes();
    const [begun, goOn] = [deferred(), deferred()];
    const pauses = async () => {
      begun.resolve();
      await goOn.promise;
    };
    kit.registry.add(defineProcess({ id: 'pausing', tasksSync: [pauses], tasksAsync: [idle] }));
    const id = randomUUID();
    const creating = processes.create('pausing', {}, { id });
    await begun.promise;
    const commit = await held(`UPDATE ${instances(kit)} SET lease_until = lease_until WHERE id = $1`, id);
    goOn.resolve();
    await until(async () => (await waiting()) === 1);
    await commit();
    expect((await creating).instance).toMatchObject({
      state: 'Running',
      tasks: [{ status: 'SUCCESS' }, { status: 'PENDING' }],
    });
  });
});
