import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Pool } from 'undici';
import { BenchDatabase } from './database.ts';
import { interleave, judge, type Row, type Side, timed } from './harness.ts';
import type { Done, Ready, Work } from './http-server.ts';

export const head = `
Both: the servers are in a process of their own, asked by undici with 50 connections from this one. Ours, 202: POST of an async
resource that submits a task (row and outbox row in one statement, one transaction each), the answer read; beside it
tasks.submit of the same task in the server's process, 50 at once, which the HTTP client's CPU does not slow down; and the
same two inserts as one prepared statement, each its own transaction, by 50 callers on 10 connections of pg, the pool that
users have. tasks.submit writes submits of the same moment with one commit; whoever waits for one is answered after it.
Ours, synchronous: GET /function/definition/NAME with the guard's defaults (host, origin, body rules, buckets, security
headers), beside a bare fastify route that answers the same object.
CPU is that of the servers' process.
Cheating would be: no guard, answers before the commit, synchronous_commit off, answers that are not read.`;

const SUBMITS = Number(process.env.SVC_COMM_BENCH_HTTP_SUBMITS ?? 1_000);
const REQUESTS = Number(process.env.SVC_COMM_BENCH_HTTP_REQUESTS ?? 4_000);
const AT_ONCE = 50;

export async function run(rounds: number): Promise<Row[]> {
  const database = await BenchDatabase.open('http');
  const execArgv = ['--import', 'tsx'];
  const server = fork(new URL('./http-server.ts', import.meta.url), [database.url, database.schema], { execArgv });
  const [urls] = (await once(server, 'message')) as [Ready];
  const ours = new Pool(urls.ours, { connections: AT_ONCE });
  const bare = new Pool(urls.bare, { connections: AT_ONCE });
  const tables = ['svc_comm_task', 'svc_comm_outbox'].map((name) => database.table(name)).join(', ');
  const clear = () => database.pool.query(`TRUNCATE ${tables}`);
  const post = { method: 'POST', path: '/api/double/', headers: { 'content-type': 'application/json' } } as const;
  const definition = { method: 'GET', path: '/function/definition/double' } as const;
  try {
    const submits = await interleave(
      [
        { name: 'tasks.submit', run: () => clear().then(() => submitted(server)) },
        served(
          server,
          requests(
            'POST, 202',
            SUBMITS,
            async () => {
              const { statusCode, body } = await ours.request({ ...post, body: '{"number":21}' });
              await body.dump();
              if (statusCode !== 202) throw new Error(`answered with ${statusCode}`);
            },
            clear,
          ),
        ),
        await inserts(database, clear),
      ],
      rounds,
    );
    const get = (pool: Pool) => async () => (await pool.request(definition)).body.json();
    const plain = await interleave(
      [
        served(server, requests('bare fastify GET', REQUESTS, get(bare))),
        served(server, requests('ours GET', REQUESTS, get(ours))),
      ],
      rounds,
    );
    return [
      ...judge(submits, { bench: 'HTTP, 202', ours: 'POST, 202', beside: 'tasks.submit', throughput: 0 }),
      ...judge(submits, { bench: 'HTTP, 202', ours: 'POST, 202', beside: INSERTS, throughput: 0.9 }),
      ...judge(plain, { bench: 'HTTP, synchronous', ours: 'ours GET', beside: 'bare fastify GET', throughput: 0.8 }),
    ];
  } finally {
    await Promise.all([ours.destroy(), bare.destroy()]);
    server.disconnect();
    await once(server, 'exit');
    await database.close();
  }
}

const INSERTS = 'insert + enqueue, pg';
const CONNECTIONS = 10;

async function inserts(database: BenchDatabase, clear: () => Promise<unknown>): Promise<Side> {
  const clients = await database.clients(CONNECTIONS);
  const text = `WITH t AS (
      INSERT INTO ${database.table('svc_comm_task')} (id, name, args, queue, result_ttl_ms)
      VALUES ($1::uuid, 'double', '{"number":21}', 'q', 86400000) RETURNING id)
    INSERT INTO ${database.table('svc_comm_outbox')} (part, message_id, exchange, routing_key, body)
    SELECT hashtext(id::text) & 63, gen_random_uuid(), '', 'q', '{"taskId":"' || id || '"}' FROM t`;
  return {
    name: INSERTS,
    async run() {
      await clear();
      let left = SUBMITS;
      // A connection does one statement at a time: more callers than connections wait in the pool.
      const one = async (client: (typeof clients)[number]) => {
        while (left-- > 0) await client.query({ name: 'insert', text, values: [randomUUID()] });
      };
      return timed(SUBMITS, () => Promise.all(clients.map(one)));
    },
  };
}

async function ask(server: ChildProcess, submits: number): Promise<Done> {
  const answer = once(server, 'message');
  server.send({ submits, atOnce: AT_ONCE } satisfies Work);
  const [done] = (await answer) as [Done];
  return done;
}

async function submitted(server: ChildProcess) {
  const before = await ask(server, 0);
  const { ms, cpuMs } = await ask(server, SUBMITS);
  return { messages: SUBMITS, ms, cpuMs: cpuMs - before.cpuMs };
}

/** With the CPU of the server, not of this process. */
const served = (server: ChildProcess, side: Side): Side => ({
  name: side.name,
  async run() {
    const before = await ask(server, 0);
    const run = await side.run();
    return { ...run, cpuMs: (await ask(server, 0)).cpuMs - before.cpuMs };
  },
});

const requests = (
  name: string,
  count: number,
  one: () => Promise<unknown>,
  before: () => Promise<unknown> = async () => undefined,
): Side => ({
  name,
  async run() {
    await before();
    let left = count;
    const client = async () => {
      while (left-- > 0) await one();
    };
    return timed(count, () => Promise.all(Array.from({ length: AT_ONCE }, client)));
  },
});
