import { setTimeout as sleep } from 'node:timers/promises';
import { BenchBroker, publishOptions } from './broker.ts';
import { compiled } from './compiled.ts';
import { BenchDatabase } from './database.ts';
import { EVENT_TYPE, fullPayload, type Payload } from './event.ts';
import { atMost, quantile, type Row } from './harness.ts';

export const head = `
50 events a second, evenly, each by itself. Ours: from the return of COMMIT to the handler, through outbox, relay, quorum
queue and router, all in this process (inbox off: it would open the handler's transaction first). Beside it: amqplib, from
the call of publish to the callback of a consumer on a quorum queue. By turns in slices; percentiles over all slices.
Cheating would be: a relay that polls all the time, a classic or transient queue on one side.`;

const EVENTS = Number(process.env.SVC_COMM_BENCH_LATENCY_EVENTS ?? 1_000);
const EVERY_MS = 20;
const WARM_UP = 50;

/** From a moment of sending to the arrival, by the event's number. */
class Latencies {
  readonly all: number[] = [];
  readonly #sentAtMs = new Map<number, number>();
  readonly #arrivedAtMs = new Map<number, number>();
  #isCounting = false;

  count(): void {
    this.#isCounting = true;
  }

  sent(id: number): void {
    this.#sentAtMs.set(id, performance.now());
    this.#meet(id);
  }

  arrived(id: number): void {
    this.#arrivedAtMs.set(id, performance.now());
    this.#meet(id);
  }

  /** A notification may overtake the answer to the COMMIT. */
  #meet(id: number): void {
    const [sentMs, arrivedMs] = [this.#sentAtMs.get(id), this.#arrivedAtMs.get(id)];
    if (sentMs === undefined || arrivedMs === undefined) return;
    this.#sentAtMs.delete(id);
    this.#arrivedAtMs.delete(id);
    if (this.#isCounting) this.all.push(arrivedMs - sentMs);
  }
}

type Send = (id: number) => Promise<void>;

export async function run(rounds: number): Promise<Row[]> {
  const broker = await BenchBroker.open('latency');
  const database = await BenchDatabase.open('latency');
  const ours = await ourSide(broker, database);
  const direct = await directSide(broker);
  let id = 0;
  const slice = async (send: Send, events: number) => {
    const start = performance.now();
    for (let i = 0; i < events; i++) {
      await sleep(Math.max(0, start + i * EVERY_MS - performance.now()));
      // Not awaited: what is slow must not slow the pace.
      send(id++).catch((error: unknown) => console.error(error));
    }
    await sleep(500);
  };
  try {
    for (const side of [direct, ours]) {
      await slice(side.send, WARM_UP);
      side.latencies.count();
    }
    for (let round = 0; round < rounds; round++) {
      for (const side of [direct, ours]) await slice(side.send, Math.ceil(EVENTS / rounds));
    }
    for (const [name, { latencies }] of Object.entries({ direct, ours })) {
      const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => quantile(latencies.all, q).toFixed(2));
      console.log(`  ${name.padEnd(20)} p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, ${latencies.all.length} events`);
    }
    const row = (figure: string, q: number, wanted: number): Row => {
      const value = quantile(ours.latencies.all, q) - quantile(direct.latencies.all, q);
      return {
        bench: 'commit → handler',
        ours: 'outbox, relay, router',
        beside: 'publish → consume',
        figure: `${figure}, more`,
        value,
        unit: 'ms',
        ...atMost(wanted, value),
      };
    };
    return [row('p50', 0.5, 0.5), row('p99', 0.99, 4)];
  } finally {
    await ours.stop();
    await database.close();
    await broker.close();
  }
}

async function ourSide(broker: BenchBroker, { url, schema }: BenchDatabase) {
  const { createService, eventConsumer } = await compiled('index');
  const latencies = new Latencies();
  const aggregate = await broker.exchange(`${broker.name}.ours`);
  const queue = `${broker.name}.ours`;
  broker.owns(queue);
  const settings = { appId: broker.name, brokerUrl: broker.url, databaseUrl: url, schema, queue };
  const service = createService({ ...settings, logLevel: 'error' });
  const onEvent = ({ id }: Payload) => latencies.arrived(id);
  service.messageRouter.consumer(aggregate, EVENT_TYPE)(eventConsumer(onEvent, { inbox: false }));
  await service.consumer().start();
  await service.relay().start();
  const payload = fullPayload(aggregate);
  const send: Send = async (id) => {
    await service.transaction(() =>
      service.publishAggregateEvent({ aggregate, eventType: EVENT_TYPE, payload: { ...payload, id } }),
    );
    latencies.sent(id);
  };
  return { latencies, send, stop: () => service.close() };
}

async function directSide(broker: BenchBroker) {
  const latencies = new Latencies();
  const exchange = await broker.exchange(`${broker.name}.direct`);
  const queue = await broker.queue(`${broker.name}.direct`, { 'x-queue-type': 'quorum' }, exchange);
  const payload = fullPayload(exchange);
  const channel = await broker.model.createChannel();
  await channel.prefetch(100);
  await channel.consume(queue, (message) => {
    if (!message) return;
    latencies.arrived(JSON.parse(message.content.toString()).payload.id);
    channel.ack(message);
  });
  const send: Send = async (id) => {
    const body = Buffer.from(JSON.stringify({ eventId: String(id), payload: { ...payload, id } }));
    latencies.sent(id);
    broker.confirms.publish(exchange, EVENT_TYPE, body, publishOptions(String(id)));
  };
  return { latencies, send };
}
