import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { BenchBroker } from './broker.ts';
import { compiled } from './compiled.ts';
import { BenchDatabase } from './database.ts';
import { GRAPHILE_WORKER, graphile } from './graphile.ts';
import { atLeast, atMost, quantile, type Row, ratio, timed } from './harness.ts';
import { processProfile } from './profile.ts';

const CONCURRENCY = 4;

export const head = `
A function that doubles a number, from the call of run() to its result. Ours: row and message in one transaction, relay,
quorum queue, claim, a process, the result written and told; relay and worker in this process, the tasks' processes beside
it. Warm: processes are reused (worker.reuse); fresh: each run has its own, which is the default. Beside it: amqplib, a
request on a classic queue and its answer by direct reply-to, nothing kept anywhere; and graphile-worker (npm ci --prefix
bench), jobs and results in PostgreSQL, the function in the worker's own process. One at a time for the latency, 32 at
a time for the rate, ${CONCURRENCY} running at once on every side. Celery is Python's, and cannot be had from npm: not measured.
Dispatch: from the worker to a process that waits, and back, without broker and database.
Cheating would be: processes that were not forked, a result that is not in the database when it is told.`;

const ONE_AT_A_TIME = Number(process.env.SVC_COMM_BENCH_TASKS ?? 200);
const AT_ONCE = 32;
const files = [fileURLToPath(new URL('./tasks/tasks.mjs', import.meta.url))];

type Call = (n: number) => Promise<unknown>;

interface Figures {
  readonly latenciesMs: number[];
  /** Medians within rounds. */
  readonly p50s: number[];
  readonly rates: number[];
  readonly cpuUs: number[];
}

export async function run(rounds: number): Promise<Row[]> {
  const broker = await BenchBroker.open('task');
  const database = await BenchDatabase.open('task');
  const floor = await requestReply(broker);
  const warm = await ours(broker, database, 'warm', { reuse: 1_000_000, spare: 4 });
  const fresh = await ours(broker, database, 'fresh', { reuse: 1, spare: 8 });
  const peer = GRAPHILE_WORKER.isThere() ? await graphile(database, CONCURRENCY) : undefined;
  const calls: [string, Call][] = [
    ['floor', floor.call],
    ['warm', warm.call],
    ...(peer ? ([['graphile', peer.call]] as [string, Call][]) : []),
    ['fresh', fresh.call],
  ];
  const figures = new Map<string, Figures>(
    calls.map(([name]) => [name, { latenciesMs: [], p50s: [], rates: [], cpuUs: [] }]),
  );
  try {
    const dispatched = await dispatch();
    for (let round = -1; round < rounds; round++) {
      for (const [name, call] of calls) {
        const count = name === 'fresh' ? Math.ceil(ONE_AT_A_TIME / 8) : ONE_AT_A_TIME;
        const latenciesMs = await processProfile.of(`${name}, one by one`, () => oneByOne(call, count));
        const many = count * (name === 'fresh' ? 2 : 5);
        const { rate, cpuUs } = await processProfile.of(`${name}, ${AT_ONCE} at once`, () => atOnce(call, many));
        if (round < 0) continue;
        const of = figures.get(name);
        of?.latenciesMs.push(...latenciesMs);
        of?.p50s.push(quantile(latenciesMs, 0.5));
        of?.rates.push(rate);
        of?.cpuUs.push(cpuUs);
      }
    }
    for (const [name, { latenciesMs, rates, cpuUs }] of figures) {
      const [p50, p99] = [0.5, 0.99].map((q) => quantile(latenciesMs, q).toFixed(2));
      const [rate, cpu] = [rates, cpuUs].map((values) => Math.round(quantile(values, 0.5)));
      console.log(
        `  ${name.padEnd(8)} p50 ${p50} ms, p99 ${p99} ms; ${AT_ONCE} at once: ${rate} tasks/s, ${cpu} us of this process`,
      );
    }
    for (const line of processProfile.take()) console.log(`  ${line}`);
    const within = (what: 'p50s' | 'rates', ours: string, other: string) =>
      ratio(figures.get(ours)?.[what] ?? [], figures.get(other)?.[what] ?? []);
    const bench = 'task, submit → result';
    const beside = 'amqplib, request/reply';
    const rows = peer
      ? [
          {
            bench,
            ours: 'warm process',
            beside: 'graphile-worker',
            unit: '' as const,
            figure: 'throughput',
            value: within('rates', 'warm', 'graphile'),
          },
        ]
      : [];
    return [
      row({ bench, ours: 'warm process', beside, figure: 'p50', value: within('p50s', 'warm', 'floor'), most: 2 }),
      row({ bench, ours: 'fresh process', beside, figure: 'p50', value: within('p50s', 'fresh', 'floor') }),
      ...rows.map((one) => ({ ...one, ...atLeast(3, one.value) })),
      row({
        bench: 'task, dispatch',
        ours: 'warm process',
        beside: '',
        figure: 'p50',
        value: dispatched,
        unit: 'ms',
        most: 0.5,
      }),
    ];
  } finally {
    await Promise.all([warm.stop(), fresh.stop(), peer?.stop()]);
    for (const name of ['warm', 'fresh']) await broker.channel.deleteQueue(`${broker.name}.${name}.tasks`);
    await database.close();
    await broker.close();
  }
}

const row = ({
  unit = '',
  most,
  ...rest
}: Pick<Row, 'bench' | 'ours' | 'beside' | 'figure' | 'value'> & { unit?: 'ms' | ''; most?: number }): Row => ({
  ...rest,
  unit,
  ...(most === undefined ? { target: '', isMet: undefined } : atMost(most, rest.value)),
});

async function oneByOne(call: Call, count: number): Promise<number[]> {
  const latencies: number[] = [];
  await timed(count, async () => {
    for (let n = 0; n < count; n++) {
      const before = performance.now();
      await call(n);
      latencies.push(performance.now() - before);
    }
  });
  return latencies;
}

async function atOnce(call: Call, count: number): Promise<{ readonly rate: number; readonly cpuUs: number }> {
  let next = 0;
  const worker = async () => {
    while (next < count) await call(next++);
  };
  const { ms, cpuMs } = await timed(count, () => Promise.all(Array.from({ length: AT_ONCE }, worker)));
  return { rate: (count * 1000) / ms, cpuUs: (cpuMs * 1000) / count };
}

async function ours(
  broker: BenchBroker,
  { url, schema }: BenchDatabase,
  name: string,
  { reuse, spare }: { readonly reuse: number; readonly spare: number },
) {
  const { createService } = await compiled('index');
  const { TaskRegistry } = await compiled('task-door');
  const taskRegistry = new TaskRegistry();
  taskRegistry.addExports(await import(files[0] ?? ''));
  const settings = { appId: `${broker.name}.${name}`, brokerUrl: broker.url, databaseUrl: url, schema };
  const worker = { concurrency: CONCURRENCY, reuse, spare };
  const service = createService({ ...settings, worker, logLevel: 'error' }, { taskRegistry });
  await service.relay().start();
  await service.worker({ files }).start();
  const tasks = await service.tasks();
  const { definition } = taskRegistry.get('double');
  return { call: (n: number) => tasks.runTask(definition, { n }), stop: () => service.close() };
}

async function requestReply(broker: BenchBroker) {
  const queue = `${broker.name}.requests`;
  const [server, client] = [await broker.model.createChannel(), await broker.model.createChannel()];
  await server.assertQueue(queue, { exclusive: true, durable: false });
  await server.consume(queue, (message) => {
    if (!message) return;
    const { n } = JSON.parse(message.content.toString());
    const { replyTo, correlationId } = message.properties;
    server.sendToQueue(replyTo, Buffer.from(JSON.stringify(n * 2)), { correlationId });
    server.ack(message);
  });
  const waiting = new Map<string, (value: unknown) => void>();
  await client.consume(
    'amq.rabbitmq.reply-to',
    (message) => {
      const id = message?.properties.correlationId;
      waiting.get(id)?.(JSON.parse(message?.content.toString() ?? 'null'));
      waiting.delete(id);
    },
    { noAck: true },
  );
  const call: Call = (n) =>
    new Promise((resolve) => {
      const correlationId = randomUUID();
      waiting.set(correlationId, resolve);
      client.sendToQueue(queue, Buffer.from(JSON.stringify({ n })), {
        correlationId,
        replyTo: 'amq.rabbitmq.reply-to',
      });
    });
  return { call };
}

/** @returns milliseconds from the worker to a process that waits, and back, the median */
async function dispatch(): Promise<number> {
  const { TaskProcess } = await compiled('task/task-process');
  const { measureIsolation } = await compiled('task/isolation');
  const entry = fileURLToPath(new URL('../dist/src/cli/task-process.js', import.meta.url));
  const one = new TaskProcess({
    nodeArguments: [entry],
    load: { root: process.cwd(), files },
    env: [],
    isolation: await measureIsolation(),
    guard: undefined,
    limits: { memoryBytes: 1024 ** 3, processes: 256 },
    logBytes: 1024,
    onOutput: () => undefined,
  });
  await one.ready;
  const latencies = await oneByOne(async (n) => {
    const message = { id: randomUUID(), name: 'double', attempt: 1, args: `{"n":${n}}`, maxResultBytes: 1000 };
    return one.run(message, () => undefined);
  }, 1000);
  await one.leave();
  return quantile(latencies.slice(100), 0.5);
}
