import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchBroker } from './broker.ts';
import { BenchDatabase } from './database.ts';
import { atMost, median, type Row, ratio } from './harness.ts';

export const head = `
Ours: the consumer of a service with its defaults (inbox on, 20 handlers at once) and prefetch 1,000. Beside it: a process with
amqplib and pg that consumes from a like queue with the same prefetch, 20 at once too, and has a pool of 10. Each a new process
in its turn. At rest: nothing has come yet. 1,000 unacked: so many of 1 KiB have come, and no handler ends. Worked: after 5,000
messages with a row each, at rest again. Resident memory after two forced collections, in both: without them it is the
garbage of the moment that is compared. (A collection gives no page of the young generation back, which grows while much is
loaded or done.) In use: of the heap, after the same collections.
Cheating would be: flags or a heap limit for one of the two, messages still in the queue, a pool without a connection.`;

const UNACKED = 1000;
const WORK = Number(process.env.SVC_COMM_BENCH_MEMORY_MESSAGES ?? 5_000);
const WORKED = 'worked';
const NAMES = ['bare', 'ours'] as const;
type Name = (typeof NAMES)[number];

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
}

/** By state, of each side, once in a round. */
type Figures = Map<string, Record<Name, Memory[]>>;

export async function run(rounds: number): Promise<Row[]> {
  const broker = await BenchBroker.open('memory');
  const database = await BenchDatabase.open('memory');
  const effect = database.table('effect');
  await database.pool.query(`CREATE TABLE ${effect} (id text, total numeric)`);
  const queue = await broker.queue(broker.name);
  broker.owns(queue);
  const figures: Figures = new Map();
  const keep = (state: string, name: Name, memory: Memory) => {
    const of = figures.get(state) ?? { bare: [], ours: [] };
    of[name].push(memory);
    figures.set(state, of);
  };
  const { url: brokerUrl, name: exchange } = broker;
  const { url: databaseUrl, schema } = database;
  const settings = { brokerUrl, databaseUrl, schema, queue, exchange, effect, prefetch: UNACKED };
  /** Until no message waits in the queue: all of them are with the consumer, or acked. */
  const taken = async () => {
    while ((await broker.channel.checkQueue(queue)).messageCount > 0) await sleep(20);
  };
  /** What a killed consumer held comes back when the broker has noticed: emptied before that, it would not stay empty. */
  const empty = async () => {
    while ((await broker.channel.checkQueue(queue)).consumerCount > 0) await sleep(20);
    await broker.channel.purgeQueue(queue);
  };
  try {
    for (let round = 0; round < rounds; round++) {
      for (const name of NAMES) {
        await empty();
        const holding = await start(name, { ...settings, isHolding: true });
        keep('at rest', name, await measure(holding));
        await broker.publish(UNACKED);
        await taken();
        keep('1,000 unacked', name, await measure(holding));
        await end(holding);
        await empty();
        const working = await start(name, { ...settings, isHolding: false });
        await database.pool.query(`TRUNCATE ${effect}`);
        await broker.publish(WORK);
        const done = `SELECT count(*) FROM ${effect}`;
        while (Number((await database.pool.query(done)).rows[0].count) < WORK) await sleep(20);
        keep(WORKED, name, await measure(working));
        await end(working);
      }
    }
    return [...figures].flatMap(([state, of]) => judgeState(state, of));
  } finally {
    await database.close();
    await broker.close();
  }
}

function judgeState(state: string, of: Record<Name, readonly Memory[]>): Row[] {
  const all = (name: Name, what: keyof Memory) => of[name].map((memory) => memory[what]);
  for (const name of NAMES) {
    const [rss, heap] = (['rss', 'heapUsed'] as const).map((what) => (median(all(name, what)) / 2 ** 20).toFixed(1));
    console.log(`  ${`${name}, ${state}`.padEnd(24)} ${rss} MiB resident, ${heap} MiB of heap in use`);
  }
  const base = { bench: `memory, ${state}`, ours: 'consumer', beside: 'amqplib + pg', unit: '' as const };
  const [resident, used] = (['rss', 'heapUsed'] as const).map((what) => ratio(all('ours', what), all('bare', what)));
  return [
    { ...base, figure: 'resident', value: resident ?? Number.NaN, ...verdict(state, resident ?? Number.NaN) },
    { ...base, figure: 'heap in use', value: used ?? Number.NaN, target: '', isMet: undefined },
  ];
}

/** Work is told without a target: it has a transaction for each message of ours, and one statement for the other's. */
const verdict = (state: string, resident: number): Pick<Row, 'target' | 'isMet'> =>
  state === WORKED ? { target: '', isMet: undefined } : atMost(1.3, resident);

async function start(name: Name, settings: object): Promise<ChildProcess> {
  const file = new URL(`./memory/${name}.mjs`, import.meta.url);
  const child = fork(file, [JSON.stringify(settings)], { execArgv: ['--expose-gc'] });
  await once(child, 'message');
  return child;
}

async function measure(child: ChildProcess): Promise<Memory> {
  const told = once(child, 'message');
  child.send('measure');
  const [memory] = await told;
  return memory;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
