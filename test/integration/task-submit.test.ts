import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { connectDatabase } from '../../src/database/connection.ts';
import type { SqlExecutor } from '../../src/database/executor.ts';
import {
  InvalidArgumentError,
  InvalidTaskArgumentsError,
  OverMaxConcurrencyError,
  TaskConflictError,
  TaskNotFoundError,
  TaskRevokedError,
  TaskWaitTimeoutError,
  UnknownTaskError,
} from '../../src/errors.ts';
import { arg } from '../../src/task/argument.ts';
import { inStartScope } from '../../src/task/client-source.ts';
import { task } from '../../src/task/definition.ts';
import { newTask } from '../../src/task/new-task.ts';
import { makeSlots, submit } from '../../src/task/sql/submit.ts';
import type { Tasks } from '../../src/task/tasks.ts';
import { withCorrelation } from '../../src/util/correlation.ts';
import { stressService } from '../support/start-stop-stress.ts';
import { TaskKit } from '../support/task-kit.ts';

type Untyped = Record<string, (...args: readonly unknown[]) => Promise<unknown>>;

let kit: TaskKit;
let tasks: Tasks;

const addition = task(
  { name: 'addition', args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') } },
  ({ x, y }) => x + y,
);
const narrow = task({ name: 'narrow', maxConcurrency: 2 }, () => undefined);
const line = task({ name: 'line', maxConcurrency: 1, onFull: 'queue' }, () => undefined);
const strict = task({ name: 'strict', args: z.object({ at: z.coerce.date() }) }, ({ at }) => at.getTime());

beforeAll(async () => {
  kit = await TaskKit.create();
  kit.registry.add(addition, narrow, line, strict);
  tasks = await kit.tasks();
});
beforeEach(async () => {
  const { db } = kit;
  const tables = ['svc_comm_task', 'svc_comm_task_slot', 'svc_comm_outbox', 'svc_comm_future'].map(db.table);
  await db.pg.query(`TRUNCATE ${tables.join(', ')}`);
});
afterAll(() => kit.close());

describe('a submit', () => {
  it('writes the row and its message, once', async () => {
    const handle = await tasks.submit('addition', { x: 3, y: 6 }, { submitter: 'ann' });
    expect(await handle.record()).toMatchObject({
      id: handle.id,
      name: 'addition',
      state: 'PENDING',
      args: { x: 3, y: 6 },
      attempt: 0,
      isCancelRequested: false,
      submitter: 'ann',
    });
    const { rows } = await kit.db.pg.query(`SELECT * FROM ${kit.db.table('svc_comm_outbox')}`);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ exchange: '', routing_key: kit.queue, order_key: null, properties: null });
    expect(JSON.parse(rows[0].body)).toEqual({ taskId: handle.id });
  });

  it('joins the transaction that the code runs in: a rollback leaves nothing', async () => {
    const undone = kit.transactions.run(async () => {
      await tasks.submit('addition', { x: 1, y: 2 });
      throw new Error('undo');
    });
    await expect(undone).rejects.toThrow('undo');
    expect(await kit.db.count('svc_comm_task')).toBe(0);
    expect(await kit.db.count('svc_comm_outbox')).toBe(0);
    await kit.transactions.run(async () => {
      const handle = await tasks.submit('addition', { x: 1, y: 2 });
      await expect(handle.state()).rejects.toThrow(TaskNotFoundError);
    });
    expect(await kit.db.count('svc_comm_task')).toBe(1);
    expect(await kit.db.count('svc_comm_outbox')).toBe(1);
  });

  it('shares its commit with others of the moment, and no mistake of theirs', async () => {
    await kit.db.pg.query(
      `ALTER TABLE ${kit.db.table('svc_comm_task')} ADD CONSTRAINT mistake CHECK (correlation_id <> 'request 7')`,
    );
    const all = await Promise.allSettled(
      Array.from({ length: 40 }, (_, x) =>
        withCorrelation(`request ${x}`, () => tasks.submit('addition', { x, y: 1 }, { submitter: `caller ${x}` })),
      ),
    );
    expect(all.map(({ status }) => status).filter((status) => status === 'rejected')).toHaveLength(1);
    expect(all[7]?.status).toBe('rejected');
    const { rows } = await kit.db.pg.query(
      `SELECT submitter, correlation_id, args FROM ${kit.db.table('svc_comm_task')} ORDER BY submitter`,
    );
    expect(rows).toHaveLength(39);
    for (const { submitter, correlation_id, args } of rows) {
      const x = Number(submitter.slice('caller '.length));
      expect([correlation_id, JSON.parse(args)]).toEqual([`request ${x}`, { x, y: 1 }]);
    }
    await kit.db.pg.query(`ALTER TABLE ${kit.db.table('svc_comm_task')} DROP CONSTRAINT mistake`);
    expect(await kit.db.count('svc_comm_outbox')).toBe(39);
    await Promise.all(Array.from({ length: 40 }, (_, x) => tasks.submit('addition', { x, y: 2 })));
    const { rows: commits } = await kit.db.pg.query(
      `SELECT count(DISTINCT xmin::text)::int AS n FROM ${kit.db.table('svc_comm_task')} WHERE args LIKE '%"y":2}'`,
    );
    expect(commits[0].n).toBeLessThan(10);
  });

  it("takes a caller's own handle, and stays apart from the ambient one when told so", async () => {
    const client = await kit.db.pg.connect();
    await client.query('BEGIN');
    await tasks.submit('addition', { x: 1, y: 2 }, { transaction: client });
    await client.query('ROLLBACK');
    client.release();
    expect(await kit.db.count('svc_comm_task')).toBe(0);
    const undone = kit.transactions.run(async () => {
      await tasks.submit('addition', { x: 1, y: 2 }, { transaction: 'own' });
      throw new Error('undo');
    });
    await expect(undone).rejects.toThrow('undo');
    expect(await kit.db.count('svc_comm_task')).toBe(1);
  });

  it('is of what was given at the call, whatever becomes of arguments and time meanwhile', async () => {
    const slow = task(
      { name: 'slow-check', args: z.object({ x: z.number(), y: z.number() }).refine(async () => true) },
      ({ x, y }) => x + y,
    );
    const ways = [
      (args: { x: number; y: number }, at: Date) => tasks.submit('addition', args, { at }),
      (args: { x: number; y: number }, at: Date) => tasks.startTask(slow.definition, args, { at }),
      (args: { x: number; y: number }, at: Date) =>
        inStartScope({ client: tasks, defaults: {} }, () => addition.start(args, { at })),
    ];
    for (const way of ways) {
      const args = { x: 0, y: 0 };
      const at = new Date(Date.now() + 3_600_000);
      const time = at.getTime();
      const started = [];
      for (; args.x < 3; args.x++) started.push(way(args, at));
      at.setTime(0);
      const records = await Promise.all((await Promise.all(started)).map((handle) => handle.record()));
      expect(records.map((record) => record.args)).toEqual([0, 1, 2].map((x) => ({ x, y: 0 })));
      expect(new Set(records.map(({ dueAt }) => dueAt.getTime()))).toEqual(new Set([time]));
    }
    const { signal } = new AbortController();
    const args = { x: 7, y: 7 };
    const running = inStartScope({ client: tasks, defaults: {} }, () => addition.run(args, { signal, timeout: '1ms' }));
    args.x = 8;
    await expect(running).rejects.toThrow(TaskWaitTimeoutError);
    expect((await tasks.list({ name: 'addition', limit: 1 }))[0]?.args).toEqual({ x: 7, y: 7 });
  });

  it('checks and coerces the arguments before anything is written', async () => {
    await tasks.submit('addition', { x: '3', y: 6.9, more: 1 });
    const wrong = tasks.submit('addition', { x: 'three' });
    await expect(wrong).rejects.toThrow(InvalidTaskArgumentsError);
    await expect(wrong).rejects.toMatchObject({
      problems: [
        { argument: 'x', kind: 'invalid', expected: 'INTEGER', got: '"three"' },
        { argument: 'y', kind: 'missing', expected: 'INTEGER' },
      ],
    });
    await expect(tasks.submit('strict', { at: 'never' })).rejects.toMatchObject({
      problems: [{ argument: 'at', kind: 'invalid' }],
    });
    await tasks.submit('strict', { at: '2026-01-31T00:00:00Z' });
    await expect(tasks.submit('nothing', {})).rejects.toThrow(UnknownTaskError);
    await expect(tasks.submit('addition', [])).rejects.toThrow(InvalidTaskArgumentsError);
    await expect(tasks.submit('addition', { x: 1, y: 1 }, { id: '../../x' })).rejects.toThrow(InvalidArgumentError);
    expect(await kit.db.count('svc_comm_task')).toBe(2);
  });

  it('carries the correlation on', async () => {
    const handle = await withCorrelation('c-1', () => tasks.submit('addition', { x: 1, y: 2 }));
    expect(await kit.row(handle.id)).toMatchObject({ correlation_id: 'c-1' });
  });

  it('with a time or a delay sends its message when that has come, and is refused when that is no time', async () => {
    const handle = await tasks.submit('addition', { x: 1, y: 2 }, { delay: '1h' });
    const { dueAt, createdAt } = await handle.record();
    expect(dueAt.getTime() - createdAt.getTime()).toBeCloseTo(3_600_000, -2);
    expect([await kit.db.count('svc_comm_outbox'), await kit.db.count('svc_comm_future')]).toEqual([0, 1]);
    expect(await handle.cancel()).toEqual({ state: 'REVOKED', hadEnded: false });
    expect(await kit.db.count('svc_comm_future')).toBe(0);
    for (const never of [{ at: new Date(8.64e15) }, { at: new Date(Number.NaN) }, { delay: '200000000d' as const }]) {
      await expect(tasks.submit('addition', { x: 1, y: 2 }, never)).rejects.toThrow(InvalidArgumentError);
    }
    const past = await tasks.submit('addition', { x: 1, y: 2 }, { at: new Date(0) });
    expect((await past.record()).dueAt).toEqual(new Date(0));
    expect(await kit.db.count('svc_comm_outbox')).toBe(1);
  });
});

describe('the first submits of a task with a limit', () => {
  it('find the places that another one is just making', async () => {
    const clients = await Promise.all([kit.tasks(), kit.tasks()]);
    for (let round = 0; round < 100; round++) {
      await kit.db.pg.query(`DELETE FROM ${kit.db.table('svc_comm_task_slot')}`);
      await Promise.all(clients.map((client) => client.submit('narrow', {})));
    }
  });
});

describe('the same id or idempotency key again', () => {
  it('submits nothing more and gives the first one, also at the same time', async () => {
    const [id, args] = [randomUUID(), { x: 1, y: 2 }];
    const same = await Promise.all([1, 2, 3].map(() => tasks.submit('addition', args, { id })));
    expect(same.map((handle) => handle.wasKnown).sort()).toEqual([false, true, true]);
    const others = await Promise.all([kit.tasks(), kit.tasks(), kit.tasks()]);
    const keyed = await Promise.all(
      others.map((client) => client.submit('addition', args, { idempotencyKey: 'k', submitter: 'ann' })),
    );
    expect(new Set(keyed.map((handle) => handle.id)).size).toBe(1);
    expect(await kit.db.count('svc_comm_task')).toBe(2);
    const other = await tasks.submit('addition', args, { idempotencyKey: 'k', submitter: 'bob' });
    expect(other.wasKnown).toBe(false);
  });

  it('takes no second place of a task with a limit, and is not refused because others ask at the same moment', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => kit.tasks()));
    for (let round = 0; round < 300; round++) {
      await kit.db.pg.query(
        `DELETE FROM ${kit.db.table('svc_comm_task')}; DELETE FROM ${kit.db.table('svc_comm_task_slot')}`,
      );
      const id = randomUUID();
      await Promise.all(clients.map((client) => client.submit('narrow', {}, { id })));
      expect(await kit.db.count('svc_comm_task_slot', 'task_id IS NOT NULL')).toBe(1);
    }
  });

  it('leaves no place taken when it crosses the first one and is cut off then', async () => {
    const { url, schema } = kit.db;
    const applicationName = `${schema} cut off`;
    const connection = await connectDatabase({ url, applicationName });
    onTestFinished(() => connection.close());
    await makeSlots(connection, schema, 'narrow', 2);
    let statements = 0;
    const executor: SqlExecutor = {
      query: (...statement) => {
        statements += 1;
        return statements === 1 ? connection.query(...statement) : Promise.reject(new Error('cut off'));
      },
    };
    const options = { idempotencyKey: 'k' };
    const second = newTask(narrow.definition, {}, options, { id: randomUUID(), queue: kit.queue });
    let crossing: Promise<void> | undefined;
    await kit.transactions.run(async () => {
      await tasks.submit('narrow', {}, options);
      crossing = expect(submit({ kind: 'own', executor }, schema, second)).rejects.toThrow('cut off');
      await expect
        .poll(async () => {
          const { rows } = await kit.db.pg.query(
            'SELECT wait_event FROM pg_stat_activity WHERE application_name = $1',
            [applicationName],
          );
          return rows;
        })
        .toEqual([{ wait_event: 'advisory' }]);
    });
    await crossing;
    expect(await kit.db.count('svc_comm_task')).toBe(1);
    expect(await kit.db.count('svc_comm_task_slot', 'task_id IS NOT NULL')).toBe(1);
  });

  it('with the same arguments in another order is the same', async () => {
    const { id } = await tasks.submit('addition', { x: 1, y: 2 }, { idempotencyKey: 'k' });
    const again = await tasks.submit('addition', { y: 2, x: 1 }, { idempotencyKey: 'k' });
    expect([again.id, again.wasKnown]).toEqual([id, true]);
  });

  it('with other arguments is a conflict', async () => {
    const { id } = await tasks.submit('addition', { x: 1, y: 2 }, { idempotencyKey: 'k' });
    const other = tasks.submit('addition', { x: 1, y: 3 }, { idempotencyKey: 'k' });
    await expect(other).rejects.toThrow(TaskConflictError);
    await expect(other).rejects.toMatchObject({ taskId: id });
    await expect(tasks.submit('addition', { x: 1, y: 3 }, { id })).rejects.toThrow(TaskConflictError);
  });
});

describe('a limit', () => {
  it('is never exceeded by 200 submits of 4 servers at the same time, and refuses the rest', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => kit.tasks()));
    const three = task({ name: 'three', maxConcurrency: 3 }, () => undefined);
    kit.registry.add(three);
    const posts = Array.from({ length: 200 }, (_, n) => clients[n % 4]?.submit('three', {}));
    const settled = await Promise.allSettled(posts);
    const refused = settled.flatMap((post) => (post.status === 'rejected' ? [post.reason] : []));
    expect(settled.length - refused.length).toBe(3);
    for (const error of refused) {
      expect(error).toBeInstanceOf(OverMaxConcurrencyError);
      expect(error).toMatchObject({ maxConcurrency: 3, message: expect.stringMatching(/^Over Max Concurrency 3/) });
    }
    expect(await kit.db.count('svc_comm_task')).toBe(3);
  });

  it('has room again when one is cancelled or its submit rolled back', async () => {
    const first = await tasks.submit('narrow', {});
    const undone = kit.transactions.run(async () => {
      await tasks.submit('narrow', {});
      await expect(tasks.submit('narrow', {})).rejects.toThrow(OverMaxConcurrencyError);
      throw new Error('undo');
    });
    await expect(undone).rejects.toThrow('undo');
    await tasks.submit('narrow', {});
    await expect(tasks.submit('narrow', {})).rejects.toThrow(OverMaxConcurrencyError);
    await first.cancel();
    await tasks.submit('narrow', {});
  });

  it('that queues takes any number', async () => {
    await Promise.all([1, 2, 3].map(() => tasks.submit('line', {})));
    expect((await tasks.counts()).get('line')).toEqual({ pending: 3, started: 0 });
    expect(await kit.db.count('svc_comm_task_slot', 'task_id IS NOT NULL')).toBe(0);
  });
});

describe('a cancel', () => {
  it('ends what waits at once, for good, and wakes who waits for it', async () => {
    const handle = await tasks.submit('addition', { x: 1, y: 2 });
    const elsewhere = (await kit.tasks({ pollMs: 60_000 })).result(handle.id);
    const result = expect(elsewhere).rejects.toThrow(TaskRevokedError);
    expect(await handle.cancel()).toEqual({ state: 'REVOKED', hadEnded: false });
    await result;
    expect(await handle.cancel()).toEqual({ state: 'REVOKED', hadEnded: true });
    await expect(tasks.cancel(randomUUID())).rejects.toThrow(TaskNotFoundError);
    await expect(tasks.cancel('nonsense')).rejects.toThrow(TaskNotFoundError);
  });

  it('of a name ends all of that name and no other', async () => {
    await Promise.all([1, 2, 3].map(() => tasks.submit('line', {})));
    const other = await tasks.submit('addition', { x: 1, y: 2 });
    expect(await tasks.cancelAll('line')).toBe(3);
    expect(await tasks.cancelAll('line')).toBe(0);
    expect(await other.state()).toBe('PENDING');
    expect((await tasks.list({ name: 'line', states: ['REVOKED'] })).length).toBe(3);
  });
});

describe('who waits', () => {
  it('gives up at the timeout or the signal, and the task goes on', async () => {
    const handle = await tasks.submit('addition', { x: 1, y: 2 });
    await expect(handle.result({ timeout: '20ms' })).rejects.toThrow(TaskWaitTimeoutError);
    await expect(handle.result({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    const controller = new AbortController();
    const waiting = handle.result({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(await handle.state()).toBe('PENDING');
  });

  it('comes to its end whatever the case of the id that it was given', { timeout: 10_000 }, async () => {
    const id = randomUUID().toUpperCase();
    const handle = await tasks.submit('addition', { x: 1, y: 2 }, { id });
    expect((await tasks.submit('addition', { x: 1, y: 2 }, { id: id.toLowerCase() })).wasKnown).toBe(true);
    const results = [handle, tasks.handle(id)].map((one) => one.result({ timeout: 5 }));
    const told = Promise.all(results.map((result) => expect(result).rejects.toThrow(TaskRevokedError)));
    // Over the one connection after those that wait have looked.
    await handle.state();
    await handle.cancel();
    await told;
  });

  it('takes any timeout, also one of months', async () => {
    const handle = await tasks.submit('addition', { x: 1, y: 2 });
    const told = expect(handle.result({ timeout: '100d' })).rejects.toThrow(TaskRevokedError);
    // Node would make a millisecond of it.
    await sleep(50);
    await handle.cancel();
    await told;
  });

  it('is told by looking at the row when nothing can be heard', async () => {
    const deaf = await kit.tasks({ listen: false, pollMs: 20 });
    const handle = await tasks.submit('addition', { x: 1, y: 2 });
    const waiting = expect(deaf.result(handle.id)).rejects.toThrow(TaskRevokedError);
    const events = (async () => {
      const seen = [];
      for await (const event of deaf.events(handle.id)) seen.push(event);
      return seen;
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await handle.cancel();
    await waiting;
    expect(await events).toEqual([
      { kind: 'state', state: 'PENDING' },
      { kind: 'state', state: 'REVOKED' },
    ]);
  });
});

/** Tasks that have ended, of which each has a result of so many bytes; the later ones come first in a list. */
const endedWith = async (results: readonly number[]): Promise<string[]> => {
  const { db } = kit;
  const ids = results.map(() => randomUUID());
  await db.pg.query(
    `INSERT INTO ${db.table('svc_comm_task')} (id, name, state, args, result, log, queue, result_ttl_ms, created_at)
     SELECT r.id, 'addition', 'SUCCESS', '{"x":1,"y":2}', to_json(repeat('x', r.bytes - 2))::text, 'said', $3, 1,
       clock_timestamp() - r.n * interval '1 s'
     FROM unnest($1::uuid[], $2::int[]) WITH ORDINALITY AS r(id, bytes, n)`,
    [ids, results, kit.queue],
  );
  return ids;
};

it('lists 8 MiB of arguments and results, and says of the others that they are left out', async () => {
  const mib = 1024 * 1024;
  const ids = await endedWith([...Array.from({ length: 30 }, () => mib), 10]);
  const listed = await tasks.list({ name: 'addition' });
  expect(listed.map(({ id }) => id)).toEqual(ids);
  // With its arguments none of them has room for eight.
  const whole = listed.map(({ isAbridged, args, result }) => [isAbridged, args, (result as string)?.length]);
  const left = [true, undefined, undefined];
  expect(whole.slice(0, 7)).toEqual(whole.slice(0, 7).map(() => [false, { x: 1, y: 2 }, mib - 2]));
  expect(whole.slice(7)).toEqual(whole.slice(7).map(() => left));
  expect(listed.some((one) => 'log' in one)).toBe(false);
  const bare = await tasks.list({ name: 'addition', args: false });
  expect(bare.map(({ isAbridged }) => isAbridged)).toEqual(bare.map((_, n) => n >= 8));
  expect((await tasks.list({ name: 'addition', offset: 30 }))[0]).toMatchObject({
    isAbridged: false,
    result: 'xxxxxxxx',
  });
  expect(await tasks.record(ids[29] as string)).toMatchObject({ args: { x: 1, y: 2 }, log: 'said' });
});

it('lists the newest first, by name and submitter, page by page', async () => {
  for (const submitter of ['ann', 'bob', 'ann']) await tasks.submit('addition', { x: 1, y: 2 }, { submitter });
  expect((await tasks.list()).map((record) => record.submitter)).toEqual(['ann', 'bob', 'ann']);
  expect(await tasks.list({ submitter: 'ann', limit: 1, offset: 1 })).toHaveLength(1);
  expect(await tasks.list({ name: 'nobody' })).toEqual([]);
  await expect(tasks.list({ limit: 0 })).rejects.toThrow(InvalidArgumentError);
  expect((await tasks.list({ limit: 1, args: false }))[0]).not.toHaveProperty('args');
});

it.each<[string, (untyped: Untyped) => Promise<unknown> | undefined, string, string]>([
  [
    'a key that is misspelt',
    (to) => to.submit?.('addition', { x: 1, y: 2 }, { idempotencykey: 'a' }),
    'options',
    'the unknown name "idempotencykey"',
  ],
  [
    'a task where its definition belongs',
    (to) => to.startTask?.(addition, { x: 1, y: 2 }),
    'definition',
    'another object',
  ],
  ['options that are null', (to) => to.submit?.('addition', { x: 1, y: 2 }, null), 'options', 'got null'],
  ['a definition that is left out', (to) => to.startTask?.(), 'definition', 'what task() returned, got undefined'],
  ['waiting by options that are null', (to) => to.result?.(randomUUID(), null), 'options', 'got null'],
  [
    'no signal to wait by',
    (to) => to.waitForEnd?.(randomUUID(), { signal: 5 }),
    'signal',
    'an AbortSignal, got number',
  ],
  ['no signal of events', (to) => to.events?.(randomUUID(), { signal: 5 }), 'signal', 'an AbortSignal, got number'],
  ['to end all tasks of no name', (to) => to.cancelAll?.(), 'name', 'the name of a task, got undefined'],
  ['a filter that is misspelt', (to) => to.list?.({ state: 'FAILURE' }), 'options', 'the unknown name "state"'],
  [
    'one state in the place of several',
    (to) => to.list?.({ states: 'FAILURE' }),
    'states',
    'an array of any of PENDING',
  ],
  ['a state that there is not', (to) => to.list?.({ states: ['FAILED'] }), 'states', 'got ["FAILED"]'],
  ['a name that is no text', (to) => to.list?.({ name: {} }), 'name', 'a text without NUL, got object'],
])('JavaScript is told of %s', async (_what, use, argument, text) => {
  const untyped = new Proxy(tasks, { get: (target, name) => Reflect.get(target, name).bind(target) }) as unknown;
  const refusal = { code: 'SVC_COMM_INVALID_ARGUMENT', argument, message: expect.stringContaining(text) };
  await expect((async () => use(untyped as Untyped))()).rejects.toMatchObject(refusal);
});

it('no id is the id of no task', async () => {
  const ids = [undefined, null, 7, 'a'] as unknown as readonly string[];
  for (const id of ids) {
    for (const ask of [() => tasks.cancel(id), () => tasks.result(id), () => tasks.events(id).next()]) {
      await expect(ask()).rejects.toBeInstanceOf(TaskNotFoundError);
    }
  }
});

it('start and stop may cross', async () => {
  const client = await kit.tasks();
  await stressService(() => client, 30);
});
