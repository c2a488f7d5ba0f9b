import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { connectDatabase } from '../../src/database/connection.ts';
import { knexTransactions, resolveTransactions } from '../../src/database/transactions.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { defineProcess } from '../../src/process/definition.ts';
import { Processes } from '../../src/process/processes.ts';
import { ProcessKit } from '../support/process-kit.ts';
import { stressService } from '../support/start-stop-stress.ts';

describe('the lease of an instance', () => {
  let kit: ProcessKit;
  let first: SvcCommService;
  let second: SvcCommService;

  beforeAll(async () => {
    kit = await ProcessKit.create('real servers');
    first = kit.service({ lease: '1s' });
    second = kit.service({ lease: '1s' });
    await Promise.all([first.processes(), second.processes()]);
  });
  afterAll(() => kit.close());

  const instances = () => kit.db.table('svc_comm_process_instance');
  const started = async (processes: Processes, id: string) =>
    expect.poll(async () => (await processes.find(id))?.tasks[0]?.status, { timeout: 20_000 }).toBe('STARTED');
  /** As if its server were gone: nobody renews, and it has run out. */
  const abandon = (id: string, ago: string) =>
    kit.db.pg.query(
      `UPDATE ${instances()} SET owner = $2, lease_until = clock_timestamp() - $3::interval WHERE id = $1`,
      [id, randomUUID(), ago],
    );

  const lease = async (id: string) =>
    (await kit.db.pg.query(`SELECT lease_until FROM ${instances()} WHERE id = $1`, [id])).rows[0];

  it('is renewed while a synchronous task runs for longer, so that nobody ends it', async () => {
    const id = randomUUID();
    const creating = (await first.processes()).create('brief', {}, { id });
    const { instance } = await creating;
    expect(instance).toMatchObject({ state: 'Complete', tasks: [{ status: 'SUCCESS', result: 'slept' }] });
  });

  it('is renewed while a list of instances, and another that is asked for, take longer than the lease', async () => {
    const processes = await first.processes();
    const id = randomUUID();
    const creating = processes.create('slow-start', {}, { id });
    await started(processes, id);
    const holder = await kit.db.pg.connect();
    await holder.query('BEGIN');
    await holder.query(`LOCK TABLE ${kit.db.table('svc_comm_process_task')} IN ACCESS EXCLUSIVE MODE`);
    const waiting = Promise.all([
      processes.create('plain', { foo: 'a' }),
      ...Array.from({ length: 4 }, () => processes.list()),
    ]);
    try {
      const { lease_until: before } = await lease(id);
      await expect.poll(async () => (await lease(id)).lease_until - before, { timeout: 10_000 }).toBeGreaterThan(1_000);
    } finally {
      await holder.query('COMMIT');
      holder.release();
    }
    await waiting;
    expect(await processes.find(id)).toMatchObject({ state: 'New', tasks: [{ status: 'STARTED' }, {}] });
    await processes.cancel(id, { timeout: 10 });
    expect((await creating).instance.state).toBe('Cancelled');
  });

  it('is asked for anew when the instance could be written only after it would have run out: its steps run', async () => {
    const holder = await kit.db.pg.connect();
    await holder.query('BEGIN');
    await holder.query(`LOCK TABLE ${kit.db.table('svc_comm_process_task')} IN ACCESS EXCLUSIVE MODE`);
    const processes = await first.processes();
    const before = performance.now();
    const creating = processes.create('brief', {});
    try {
      // Three times the lease.
      await expect.poll(() => performance.now() - before, { timeout: 10_000 }).toBeGreaterThan(3_000);
    } finally {
      await holder.query('COMMIT');
      holder.release();
    }
    expect((await creating).instance).toMatchObject({ state: 'Complete', tasks: [{ status: 'SUCCESS' }] });
  });

  it('stays with the request that made the instance when the same one came in twice at the same time', async () => {
    const processes = await first.processes();
    const id = randomUUID();
    const creating = [processes.create('slow-start', {}, { id }), processes.create('slow-start', {}, { id })];
    const known = await Promise.race(creating);
    expect(known).toMatchObject({ wasKnown: true, instance: { state: 'New' } });
    await processes.cancel(id, { timeout: 10 });
    const made = (await Promise.all(creating)).find(({ wasKnown }) => !wasKnown);
    expect(made?.instance).toMatchObject({ state: 'Cancelled', tasks: [{ status: 'REVOKED' }, { status: 'SKIPPED' }] });
  });

  it('is renewed as well when the same request came in twice at the same time', async () => {
    const processes = await first.processes();
    const id = randomUUID();
    await Promise.all([processes.create('brief', {}, { id }), processes.create('brief', {}, { id })]);
    expect(await processes.find(id)).toMatchObject({ state: 'Complete', tasks: [{ status: 'SUCCESS' }] });
  });

  it('that has run out is ended by whoever looks: what ran is LOST, what waited SKIPPED', async () => {
    const id = randomUUID();
    const creating = (await first.processes()).create('slow-start', {}, { id });
    creating.catch(() => undefined);
    await started(await second.processes(), id);
    await abandon(id, '1 second');
    expect(await (await second.processes()).find(id)).toMatchObject({
      state: 'Failed',
      tasks: [{ status: 'LOST', error: { name: 'ProcessLostError' } }, { status: 'SKIPPED' }],
    });
    // The one that runs it hears of that, ends its task's signal, and writes nothing.
    expect((await creating).instance.state).toBe('Failed');
    expect((await (await first.processes()).find(id))?.state).toBe('Failed');
  });

  it('that has run out is ended although nobody looks', async () => {
    const id = randomUUID();
    const creating = (await first.processes()).create('slow-start', {}, { id });
    creating.catch(() => undefined);
    await started(await second.processes(), id);
    await abandon(id, '1 second');
    const state = async () =>
      (await kit.db.pg.query(`SELECT state FROM ${instances()} WHERE id = $1`, [id])).rows[0].state;
    await expect.poll(state, { timeout: 10_000 }).toBe('Failed');
    await creating;
  });

  it('is heard of by the server that has it when another is asked to cancel', async () => {
    const id = randomUUID();
    const creating = (await first.processes()).create('slow-start', {}, { id });
    await started(await second.processes(), id);
    const ended = await (await second.processes()).cancel(id, { timeout: 20 });
    expect(ended).toMatchObject({ state: 'Cancelled', tasks: [{ status: 'REVOKED' }, { status: 'SKIPPED' }] });
    expect((await creating).instance.state).toBe('Cancelled');
  });

  it('ends with a server that stops in order, at once', async () => {
    const third = kit.service();
    const id = randomUUID();
    const creating = (await third.processes()).create('slow-start', {}, { id });
    await started(await second.processes(), id);
    const [{ instance }] = await Promise.all([creating, third.close()]);
    // Whoever asked is told what became of it, also by a server that takes no more.
    expect(instance).toMatchObject({ state: 'Failed', tasks: [{ status: 'LOST' }, { status: 'SKIPPED' }] });
    expect(await (await second.processes()).find(id)).toMatchObject({
      state: 'Failed',
      tasks: [{ status: 'LOST' }, {}],
    });
  });

  it('is begun by no server that stops: what it has not created by then it does not create', async () => {
    const third = kit.service();
    let hold: (holds: boolean) => void = () => undefined;
    const isAsked = new Promise<void>((asked) => {
      const isOpen = () =>
        new Promise<boolean>((resolve) => {
          hold = resolve;
          asked();
        });
      kit.registry.add(defineProcess({ id: 'asks', validations: [isOpen], tasksSync: [function never() {}] }));
    });
    const id = randomUUID();
    const creating = (await third.processes()).create('asks', {}, { id });
    const refused = expect(creating).rejects.toMatchObject({ code: 'SVC_COMM_NOT_RUNNING' });
    await isAsked;
    const closed = third.close();
    hold(true);
    await Promise.all([refused, closed]);
    expect(await (await second.processes()).find(id)).toBeUndefined();
  });

  it('is outlived by no instance that has ended: it is forgotten after its retention', async () => {
    const { instance } = await (await first.processes()).create('plain', { foo: 'a' });
    await kit.db.pg.query(`UPDATE ${instances()} SET finished_at = now() - interval '31 days' WHERE id = $1`, [
      instance.id,
    ]);
    await expect
      .poll(() => kit.db.count('svc_comm_process_task', `instance_id = '${instance.id}'`), { timeout: 10_000 })
      .toBe(0);
    expect(await (await first.processes()).find(instance.id)).toBeUndefined();
  });

  it('costs tasks of no process nothing but the look at a column', async () => {
    const { rows } = await kit.db.pg.query(
      `SELECT pg_get_triggerdef(oid) AS def FROM pg_trigger WHERE tgname = 'svc_comm_task_process'
        AND tgrelid = '${kit.db.table('svc_comm_task')}'::regclass`,
    );
    expect(rows[0].def).toMatch(/WHEN \(\(\(new.process_instance IS NOT NULL\)/i);
  });

  it('starts and stops like every service', async () => {
    const tasks = await first.tasks();
    await stressService(
      () =>
        new Processes({
          registry: kit.registry,
          tasks,
          transactions: resolveTransactions(knexTransactions(), kit.db.pool, kit.schema),
          connect: (name) => connectDatabase({ url: kit.db.url, applicationName: `${kit.schema} ${name}` }),
          schema: kit.schema,
          leaseMs: 1_000,
          retentionMs: 86_400_000,
          logger: silentLogger,
          wait: true,
        }),
    );
  });
});
