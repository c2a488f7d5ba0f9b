import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Backend, BackendGone, BackendHeld } from '../../src/embedded/database/backend.ts';
import { message, startUp } from '../../src/embedded/database/backend-messages.ts';
import { EmbeddedDatabase } from '../../src/embedded/database/embedded-database.ts';
import { MessageSplitter } from '../../src/embedded/database/message-splitter.ts';
import { openPglite, type Pglite } from '../../src/embedded/database/pglite.ts';

const database = new EmbeddedDatabase();
beforeAll(() => database.start());
afterAll(() => database.stop());

const clients: pg.Client[] = [];
async function client(): Promise<pg.Client> {
  const made = new pg.Client(database.url);
  made.on('error', () => undefined);
  await made.connect();
  clients.push(made);
  return made;
}
afterEach(async () => {
  for (const one of clients.splice(0)) await one.end();
});

/** A client of messages, past its greeting; `until` waits for an answer of these types. */
async function rawClient() {
  const socket = connect(database.port, '127.0.0.1');
  const splitter = new MessageSplitter();
  const got: Buffer[] = [];
  let types = '';
  socket
    .on('error', () => undefined)
    .on('data', (data) => {
      got.push(data);
      for (const { type } of splitter.push(data)) types += type;
    });
  socket.write(startUp('postgres', 'postgres'));
  await vi.waitFor(() => expect(types).toMatch(/Z$/), { timeout: 20_000 });
  const greeting = types.length;
  const until = (expected: string) =>
    vi.waitFor(() => expect(types.slice(greeting)).toMatch(new RegExp(`${expected}$`)), { timeout: 20_000 });
  return { socket, until, text: () => Buffer.concat(got).toString('latin1') };
}

const bindAndExecute = (): Buffer[] => [
  message('B', '', '', Buffer.alloc(6)),
  message('E', '', Buffer.alloc(4)),
  message('S'),
];

describe('several connections to one backend', () => {
  it('get their own answers, also when a statement comes in many pieces and its name is in use elsewhere', async () => {
    const body = 'x'.repeat(300_000);
    const all = await Promise.all([1, 2, 3, 4].map(() => client()));
    const ask = async (one: pg.Client, number: number) => {
      for (let round = 0; round < 10; round += 1) {
        const text = `SELECT ${number} AS number, $1::text AS round, length($2) AS length`;
        const { rows } = await one.query({ name: 'same', text, values: [String(round), body] });
        expect(rows).toEqual([{ number, round: String(round), length: body.length }]);
      }
    };
    await Promise.all(all.map(ask));
  });

  it('wait for the transaction of another to end, and see what it committed', async () => {
    const [writer, reader] = [await client(), await client()];
    await writer.query('CREATE TABLE seen (n int)');
    await writer.query('BEGIN');
    await writer.query('INSERT INTO seen VALUES (1)');
    const read = reader.query('SELECT n FROM seen');
    await writer.query('COMMIT');
    expect((await read).rows).toEqual([{ n: 1 }]);
  });

  it('hear what another one notifies, and what they themselves do; who does not listen hears nothing', async () => {
    const [first, second] = [await client(), await client()];
    const heard: string[] = [];
    first.on('notification', ({ channel, payload }) => heard.push(`first ${channel} ${payload}`));
    second.on('notification', ({ channel, payload }) => heard.push(`second ${channel} ${payload}`));
    await first.query('LISTEN "Orders"');
    await second.query('LISTEN stock; LISTEN other');
    await second.query(`NOTIFY "Orders", 'a'`);
    await second.query('SELECT pg_notify($1, $2)', ['stock', 'b']);
    // The backend forgets all of it; the others' LISTEN must hold.
    await second.query('UNLISTEN *');
    await second.query(`NOTIFY "Orders", 'c'; NOTIFY stock, 'd'`);
    await first.query('SELECT 1');
    expect(heard).toEqual(['first Orders a', 'second stock b', 'first Orders c']);
  });

  it('lose the transaction of one that is cut off: it is rolled back, the others go on', async () => {
    const [dying, other] = [await client(), await client()];
    await other.query('CREATE TABLE cut (n int)');
    await dying.query('BEGIN');
    await dying.query('INSERT INTO cut VALUES (1)');
    const count = other.query('SELECT count(*)::int AS n FROM cut');
    (dying as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    expect((await count).rows).toEqual([{ n: 0 }]);
  });

  it.each([
    ['inside a transaction', [message('Q', 'BEGIN')]],
    ['outside of one', []],
  ])('are not held up by one that vanishes behind an error that it had asked for by a Flush, %s', async (_, first) => {
    const other = await client();
    const vanishing = await rawClient();
    const failing = [message('P', '', 'SELECT 1 / 0', Buffer.alloc(2)), ...bindAndExecute().slice(0, 2), message('H')];
    vanishing.socket.write(Buffer.concat([...first, ...failing]));
    await vanishing.until('E');
    vanishing.socket.destroy();
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('are answered nothing behind an error until their Sync, and nobody else notices', async () => {
    const other = await client();
    const failing = await rawClient();
    failing.socket.write(
      Buffer.concat([message('P', '', 'SELECT 1 / 0', Buffer.alloc(2)), ...bindAndExecute().slice(0, 2), message('H')]),
    );
    await failing.until('1E');
    failing.socket.write(Buffer.concat([message('Q', 'CREATE TABLE passed_over ()'), message('H'), message('S')]));
    await failing.until('1EZ');
    failing.socket.write(message('Q', 'SELECT 1 AS one'));
    await failing.until('1EZTDCZ');
    failing.socket.destroy();
    expect((await other.query("SELECT to_regclass('passed_over') AS it")).rows).toEqual([{ it: null }]);
  });

  it('keep a failed transaction to themselves until it ends', async () => {
    const [failing, other] = [await client(), await client()];
    await failing.query('BEGIN');
    await expect(failing.query('SELECT nothing')).rejects.toMatchObject({ code: '42703' });
    const answer = other.query('SELECT 1 AS one');
    await expect(failing.query('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await failing.query('ROLLBACK');
    expect((await answer).rows).toEqual([{ one: 1 }]);
  });

  it('are refused by name when they ask for another role or database', async () => {
    const url = new URL(database.url);
    url.pathname = '/shop';
    await expect(new pg.Client(url.href).connect()).rejects.toMatchObject({ code: '3D000' });
    url.username = 'shop';
    await expect(new pg.Client(url.href).connect()).rejects.toMatchObject({ code: '28000' });
  });

  it('are ended when they send what is no message of PostgreSQL, and nobody else notices', async () => {
    const other = await client();
    const socket = connect(database.port, '127.0.0.1');
    const got: Buffer[] = [];
    socket.on('data', (data) => got.push(data)).on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect(Buffer.concat(got).toString('latin1')).toContain('08P01');
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('load rows by COPY FROM STDIN, also in a transaction; who vanishes before its rows are there leaves none', async () => {
    const one = await client();
    await one.query('CREATE TABLE loaded (n int, name text)');
    const loader = await rawClient();
    loader.socket.write(message('Q', 'COPY loaded FROM STDIN'));
    await loader.until('G');
    loader.socket.write(Buffer.concat([message('d', Buffer.from('1\tone\n')), message('d', Buffer.from('2\ttwo\n'))]));
    loader.socket.write(message('c'));
    await loader.until('GCZ');
    loader.socket.write(message('Q', 'BEGIN'));
    loader.socket.write(message('Q', '/* more */ copy "loaded" (n) from stdin with (format csv)'));
    await loader.until('GCZCZG');
    loader.socket.write(message('d', Buffer.from('3\n')));
    loader.socket.destroy();
    expect((await one.query('SELECT n, name FROM loaded ORDER BY n')).rows).toEqual([
      { n: 1, name: 'one' },
      { n: 2, name: 'two' },
    ]);
  });

  it.each([
    ['in a prepared statement', [message('P', '', 'COPY twice FROM STDIN', Buffer.alloc(2)), ...bindAndExecute()]],
    ['behind another statement', [message('Q', 'SELECT 1; COPY twice FROM STDIN')]],
  ])('are refused a COPY FROM STDIN %s, and nobody else notices', async (_, messages) => {
    const other = await client();
    await other.query('CREATE TABLE IF NOT EXISTS twice (n int)');
    const loader = await rawClient();
    loader.socket.write(Buffer.concat(messages));
    await loader.until('Z');
    expect(loader.text()).toContain('first statement of a simple query');
    loader.socket.destroy();
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('get an error from a trigger that fires itself without end, and nobody else notices', async () => {
    const [one, other] = [await client(), await client()];
    await one.query(`CREATE TABLE endless (n int);
      CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO endless VALUES (NEW.n + 1); RETURN NEW; END';
      CREATE TRIGGER endless AFTER INSERT ON endless FOR EACH ROW EXECUTE FUNCTION again()`);
    await expect(one.query('INSERT INTO endless VALUES (1)')).rejects.toMatchObject({ code: '54001' });
    expect((await other.query('SELECT count(*)::int AS n FROM endless')).rows).toEqual([{ n: 0 }]);
  });

  it.each([
    "SET client_encoding = 'WIN1252'",
    "SET NAMES 'LATIN1'",
    "SELECT set_config('client_encoding', 'EUC_JP', false)",
    "SELECT convert_to('ü', 'LATIN1')",
    "SELECT convert_from('\\xfc', 'WIN1252')",
    "COPY (SELECT 'ü') TO STDOUT ENCODING 'LATIN1'",
  ])('get an error for another encoding than UTF-8, and nobody else notices: %s', async (sql) => {
    const [one, other] = [await client(), await client()];
    await expect(one.query(sql)).rejects.toThrow(/conversion|client_encoding/);
    expect((await one.query("SELECT 'ü' AS it")).rows).toEqual([{ it: 'ü' }]);
    expect((await other.query('SHOW client_encoding')).rows).toEqual([{ client_encoding: 'UTF8' }]);
  });

  it('may set the timeouts that end an idle connection, and are not ended by them, nor is anybody else', async () => {
    const [one, other] = [await client(), await client()];
    for (const name of ['idle_session_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout']) {
      expect(Object.values((await one.query(`SHOW ${name}`)).rows[0])).toEqual(['0']);
      await one.query(`SET ${name} = 20`);
      await setTimeout(50);
      await one.query(`RESET ${name}`);
      await one.query({ name: `set ${name}`, text: `SET LOCAL ${name} = 20` });
      await one.query(`SELECT 1 AS one; /* a comment */ SET SESSION ${name} = 20`);
      await one.query(`select set_config('${name}', '20', false), $1::int`, [1]);
      expect((await one.query(`SELECT current_setting('${name}') AS value`)).rows).toEqual([{ value: '20' }]);
    }
    await other.query('CREATE TABLE columns (transaction_timeout int)');
    await other.query('INSERT INTO columns VALUES (1)');
    await other.query('UPDATE columns SET transaction_timeout = 2');
    await one.query('BEGIN');
    // Past the times that were set: nothing is to happen, so there is nothing to wait for.
    await setTimeout(200);
    expect((await one.query('SELECT transaction_timeout AS two FROM columns')).rows).toEqual([{ two: 2 }]);
    await one.query('COMMIT');
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('take with them what they have set, except for what another one has set too', async () => {
    const [leaver, stayer] = [await client(), await client()];
    const show = async (name: string) => Object.values((await stayer.query(`SHOW ${name}`)).rows[0])[0];
    const before = await show('statement_timeout');
    await stayer.query("SET work_mem = '5MB'");
    await leaver.query("SELECT pg_catalog.set_config('search_path', '', false); SET statement_timeout TO 77");
    await leaver.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET TIME ZONE 'Asia/Tokyo'");
    await leaver.query("SET work_mem = '6MB'; SET SESSION AUTHORIZATION pg_monitor; SET ROLE pg_read_all_stats");
    await leaver.end();
    expect((await stayer.query('SELECT current_user AS it, session_user AS session')).rows).toEqual([
      { it: 'postgres', session: 'postgres' },
    ]);
    expect(await show('search_path')).toBe('public');
    expect(await show('statement_timeout')).toBe(before);
    expect(await show('default_transaction_read_only')).toBe('off');
    expect(await show('timezone')).not.toBe('Asia/Tokyo');
    expect(await show('work_mem')).toBe('6MB');
    await stayer.query('RESET work_mem');
  });

  it('take with them the prepared statements, held cursors and temporary tables that they made by SQL', async () => {
    const makes = `PREPARE leftover AS SELECT 1; CREATE TEMP TABLE leftover (n int);
      DECLARE "a cursor" NO SCROLL CURSOR WITH HOLD FOR SELECT 1`;
    for (let times = 0; times < 2; times += 1) {
      const one = new pg.Client(database.url);
      await one.connect();
      await one.query(makes);
      await one.end();
    }
  });

  it('keep their temporary tables when another one that has some ends', async () => {
    const [stayer, leaver] = [await client(), new pg.Client(database.url)];
    await leaver.connect();
    await stayer.query('CREATE TEMPORARY TABLE of_stayer (n int)');
    await leaver.query('CREATE TEMPORARY TABLE of_leaver (n int)');
    await leaver.end();
    expect((await stayer.query('SELECT count(*)::int AS n FROM of_stayer')).rows).toEqual([{ n: 0 }]);
  });

  it.each(['DEALLOCATE ALL', 'DISCARD ALL'])('keep their prepared statements when another one says %s', async (sql) => {
    const [one, other, bystander] = [await client(), await client(), await client()];
    const prepared = { name: 'mine', text: 'SELECT $1::int AS n' };
    await one.query({ ...prepared, values: [1] });
    await other.query({ ...prepared, values: [1] });
    // What the other has waiting behind it as well.
    const [, answer] = await Promise.all([other.query(sql), one.query({ ...prepared, values: [2] })]);
    expect(answer.rows).toEqual([{ n: 2 }]);
    expect((await one.query({ ...prepared, values: [3] })).rows).toEqual([{ n: 3 }]);
    await expect(other.query({ ...prepared, values: [4] })).rejects.toMatchObject({ code: '26000' });
    expect((await bystander.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });

  it('execute and deallocate by SQL what they have prepared by messages, each its own', async () => {
    const [one, other] = [await client(), await client()];
    const prepared = { name: 'its own', text: 'SELECT $1::int AS n' };
    for (const each of [one, other]) await each.query({ ...prepared, values: [1] });
    expect((await one.query('-- by name\nEXECUTE "its own"(2)')).rows).toEqual([{ n: 2 }]);
    await one.query('DEALLOCATE PREPARE "its own";');
    await expect(one.query({ ...prepared, values: [3] })).rejects.toMatchObject({ code: '26000' });
    expect((await other.query({ ...prepared, values: [4] })).rows).toEqual([{ n: 4 }]);

    // As psycopg does inside a pipeline; what comes behind it in the same breath finds the name free.
    const raw = await rawClient();
    const parse = (name: string, text: string) => message('P', name, text, Buffer.alloc(2));
    raw.socket.write(Buffer.concat([parse('_pg3_0', 'SELECT 1'), message('S')]));
    await raw.until('1Z');
    const deallocate = [parse('', 'deallocate _PG3_0'), ...bindAndExecute()];
    raw.socket.write(Buffer.concat([...deallocate, parse('_pg3_0', 'SELECT 2'), message('S')]));
    await raw.until('12CZ1Z');
    raw.socket.destroy();
  });

  it('are ended when they send a message of no known type, and nobody else notices', async () => {
    const other = await client();
    const odd = await rawClient();
    odd.socket.write(Buffer.concat([message('z', 'what?'), message('S')]));
    await once(odd.socket, 'close');
    expect(odd.text()).toContain('08P01');
    expect((await other.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
  });
});

describe('one backend', () => {
  let pglite: Pglite;
  beforeAll(async () => {
    pglite = await openPglite(undefined);
  });
  afterAll(() => pglite.close());

  it('does not let a statement wait for ever for the open transaction of the code that awaits it', async () => {
    const backend = new Backend(pglite, () => undefined, 50);
    const [transaction, inside] = [{}, {}];
    const run = (user: object, sql: string) => backend.run(user, message('Q', sql), () => undefined);
    await run(transaction, 'BEGIN');
    await expect(run(inside, 'SELECT 1')).rejects.toThrow(BackendHeld);
    await run(transaction, 'COMMIT');
    await run(inside, 'SELECT 1');
  });

  it('is given up when it stops in the middle of a statement, instead of being waited for', async () => {
    const silent: Pglite = {
      execProtocolRawStream: async () => undefined,
      exec: pglite.exec,
      close: async () => undefined,
    };
    const broken: unknown[] = [];
    const backend = new Backend(silent, (error) => broken.push(error));
    await expect(backend.run({}, message('Q', 'SELECT 1'), () => undefined)).rejects.toThrow(BackendGone);
    await expect(backend.run({}, message('Q', 'SELECT 1'), () => undefined)).rejects.toThrow(BackendGone);
    expect(broken).toHaveLength(1);
  });
});

describe('a folder', () => {
  it('has after a restart what was committed, and a half-made one is made anew', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'svc-comm-database-'));
    try {
      const kept = new EmbeddedDatabase({ folder });
      const query = async (sql: string) => {
        await kept.start();
        const one = new pg.Client(kept.url);
        await one.connect();
        const { rows } = await one.query(sql);
        await one.end();
        await kept.stop();
        return rows;
      };
      await query('CREATE TABLE kept AS SELECT 1 AS n');
      expect(await query('SELECT n FROM kept')).toEqual([{ n: 1 }]);
      await rm(join(folder, 'complete'));
      await expect(query('SELECT n FROM kept')).rejects.toMatchObject({ code: '42P01' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('with a password', () => {
  const guarded = new EmbeddedDatabase({ password: 'p/wörd' });
  beforeAll(() => guarded.start());
  afterAll(() => guarded.stop());

  it('answers whoever knows it', async () => {
    const one = new pg.Client(guarded.url);
    await one.connect();
    expect((await one.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await one.end();
  });

  it.each(['postgres', 'postgres:wrong'])('refuses %s, as PostgreSQL does', async (user) => {
    const one = new pg.Client({ connectionString: `postgres://${user}@127.0.0.1:${guarded.port}/postgres` });
    one.on('error', () => undefined);
    await expect(one.connect()).rejects.toThrow(/password/);
  });

  it('refuses a statement in the place of the password', async () => {
    const socket = connect(guarded.port, '127.0.0.1');
    const parameters = Buffer.from('user\0postgres\0\0');
    const head = Buffer.alloc(8);
    head.writeInt32BE(parameters.length + 8);
    head.writeInt32BE(196_608, 4);
    socket.write(Buffer.concat([head, parameters, message('Q', 'SELECT 1')]));
    const answer = Buffer.concat((await socket.toArray()) as Buffer[]).toString('latin1');
    expect(answer).toContain('08P01');
    expect(answer).not.toContain('SELECT');
  });
});
