import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Channel, type ConfirmChannel, connect } from 'amqplib';
import { testBrokerUrl, uniqueName } from '../test/support/servers.ts';
import { interleave, judge, type Row, timed } from './harness.ts';

export const head = `
All: the same client (amqplib), one connection to publish (confirms, 1,000 unconfirmed at most, persistent, 987 bytes) and
one to consume (prefetch 1,000, every ack for itself), a durable classic queue, both at the same time. 'kept' is the
embedded broker with its state file, 'in memory' without one; each is a process of its own, as RabbitMQ is.
'slow': 100,000 messages to a consumer that takes one at a time and stops for a while; the order is compared.
Cheating would be: transient messages, acks in bulk for one of them, the broker in the client's process.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_EMBEDDED_MESSAGES ?? 10_000);
const SLOW_COUNT = 100_000;
const WINDOW = 1000;
const BODY = Buffer.alloc(987, 'x');
const bin = fileURLToPath(new URL('../dist/bin/svc-comm.js', import.meta.url));

export async function run(rounds: number): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'svc-comm-bench-'));
  const kept = await startBroker(['--keep', join(folder, 'state')]);
  const memory = await startBroker([]);
  const rabbit = testBrokerUrl();
  try {
    const side = (name: string, url: string) => ({ name, run: () => timed(COUNT, () => through(url, COUNT)) });
    const sides = [side('RabbitMQ', rabbit), side('in memory', memory.url), side('kept', kept.url)];
    const figures = await interleave(sides, rounds);
    for (const broker of [memory, kept]) await slow(broker);
    const beside = { bench: 'through the broker', throughput: 0 };
    return [
      ...judge(figures, { ...beside, ours: 'in memory', beside: 'RabbitMQ' }),
      ...judge(figures, { ...beside, ours: 'kept', beside: 'RabbitMQ' }),
      ...judge(figures, { ...beside, ours: 'kept', beside: 'in memory' }),
    ];
  } finally {
    for (const { child } of [kept, memory]) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

interface OwnBroker {
  readonly name: string;
  readonly child: ChildProcess;
  readonly url: string;
}

async function startBroker(args: readonly string[]): Promise<OwnBroker> {
  const child = spawn(process.execPath, [bin, 'broker', '--json', '--log-level', 'error', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (!child.stdout) throw new Error('no output of the broker');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  return { name: args.length > 0 ? 'kept' : 'in memory', child, url };
}

/** Publishes and consumes so many at the same time, and compares the order. */
async function through(url: string, count: number): Promise<void> {
  await withQueue(url, async (publishing, consuming, queue) => {
    await consuming.prefetch(WINDOW);
    const done = received(consuming, queue, count, (message) => consuming.ack(message));
    await publish(publishing, queue, count);
    await done;
  });
}

/** The queue fills while the consumer stands still; memory is the most that the broker's process ever had. */
async function slow({ name, url, child }: OwnBroker): Promise<void> {
  await withQueue(url, async (publishing, consuming, queue) => {
    await consuming.prefetch(1);
    const published = publish(publishing, queue, SLOW_COUNT);
    let seen = 0;
    const done = received(consuming, queue, SLOW_COUNT, (message) => {
      seen += 1;
      if (seen === 100) void published.then(() => consuming.ack(message));
      else consuming.ack(message);
    });
    const started = performance.now();
    await done;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
    const memory = peak === undefined ? '' : `, at most ${Math.round(Number(peak) / 1024)} MiB of memory`;
    const held = Math.round((SLOW_COUNT * BODY.length) / 2 ** 20);
    console.log(`  slow, ${name}: ${SLOW_COUNT} in order in ${seconds} s${memory} (the bodies are ${held} MiB)`);
  });
}

type Message = Parameters<Channel['ack']>[0];

function received(channel: Channel, queue: string, count: number, settle: (message: Message) => void): Promise<void> {
  let next = 0;
  return new Promise((resolve, reject) => {
    const onMessage = (message: Message | null) => {
      if (!message) return;
      const number = Number(message.properties.messageId);
      if (number !== next) reject(new Error(`message ${number} where ${next} was due`));
      next += 1;
      settle(message);
      if (next === count) resolve();
    };
    channel.consume(queue, onMessage).catch(reject);
  });
}

function publish(channel: ConfirmChannel, queue: string, count: number): Promise<void> {
  let [sent, confirmed] = [0, 0];
  return new Promise((resolve, reject) => {
    const pump = () => {
      while (sent < count && sent - confirmed < WINDOW) {
        const properties = { persistent: true, messageId: String(sent) };
        sent += 1;
        channel.sendToQueue(queue, BODY, properties, (error) => {
          if (error) reject(error);
          confirmed += 1;
          if (confirmed === count) resolve();
          else if (sent - confirmed <= WINDOW / 2) pump();
        });
      }
    };
    pump();
  });
}

async function withQueue(
  url: string,
  work: (publishing: ConfirmChannel, consuming: Channel, queue: string) => Promise<void>,
): Promise<void> {
  const [first, second] = [await connect(url, { noDelay: true }), await connect(url, { noDelay: true })];
  const [publishing, consuming] = [await first.createConfirmChannel(), await second.createChannel()];
  const queue = uniqueName('bench_embedded');
  await publishing.assertQueue(queue, { durable: true });
  try {
    await work(publishing, consuming, queue);
    // What is still to be acked must not be given back to a queue that goes.
    await consuming.close();
  } finally {
    await publishing.deleteQueue(queue);
    await Promise.all([first.close(), second.close()]);
  }
}
