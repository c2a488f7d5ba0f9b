import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { BrokerConnection } from '../../src/broker/connection.ts';
import { BrokerPublisher, type BrokerPublisherOptions } from '../../src/broker/publisher.ts';
import { BrokerKit, LogLines, message, Outcomes } from '../support/broker-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';
import { blockedFrame, TcpProxy } from '../support/tcp-proxy.ts';

let kit: BrokerKit;
beforeAll(async () => {
  kit = await BrokerKit.open('pubf');
});
afterAll(async () => {
  await kit.close();
});

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Setup {
  readonly proxy: TcpProxy;
  readonly connection: BrokerConnection;
  readonly publisher: BrokerPublisher;
  readonly log: LogLines;
}

async function setup(options: Partial<BrokerPublisherOptions> = {}): Promise<Setup> {
  const log = new LogLines();
  const proxy = await TcpProxy.to(testBrokerUrl());
  cleanups.push(() => proxy.close());
  const backoff = { initialMs: 20, maxMs: 100 };
  const connection = new BrokerConnection({ name: 'faults', url: proxy.url(testBrokerUrl()), backoff, logger: log });
  cleanups.push(() => connection.stop());
  const publisher = new BrokerPublisher({ connection, drainTimeoutMs: 200, logger: log, ...options });
  cleanups.push(() => publisher.stop());
  await connection.start();
  await publisher.start();
  return { proxy, connection, publisher, log };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const { signal: forever } = new AbortController();

test('a connection cut with 500 in flight settles each offer once; those not confirmed are unknown', async () => {
  const { proxy, publisher, connection } = await setup();
  const queue = await kit.queue('cut', { 'x-queue-type': 'quorum' });
  const outcomes = new Outcomes();
  proxy.holdToClient();
  for (let n = 0; n < 500; n++) publisher.offer(message('', queue, String(n)), outcomes.next());
  expect(publisher.inFlight).toBe(500);
  await turn();
  proxy.cut();
  expect(await outcomes.kinds()).toEqual({ unknown: 500 });
  expect(publisher.inFlight).toBe(0);
  expect(publisher.hasRoom).toBe(false);
  proxy.heal();
  await publisher.room(forever);
  expect(connection.stats.reconnects).toBe(1);
  await publisher.publish(message('', queue));
  expect(publisher.stats.unknown).toBe(500);
});

test('500 publishes under way when the connection is cut all resolve after it is healed, and none is lost', async () => {
  const { proxy, publisher } = await setup();
  const queue = await kit.queue('cut-promises', { 'x-queue-type': 'quorum' });
  proxy.holdToClient();
  const publishing = Array.from({ length: 500 }, (_, n) => publisher.publish(message('', queue, String(n))));
  await turn();
  proxy.refuse();
  proxy.cut();
  await turn();
  proxy.heal();
  await Promise.all(publishing);
  expect(new Set(await kit.drain(queue)).size).toBe(500);
});

test('a publish sent again has the same message id', async () => {
  const { proxy, publisher } = await setup();
  const queue = await kit.queue('same-id');
  proxy.holdToClient();
  const publishing = publisher.publish(message('', queue, 'once'));
  while ((await kit.count(queue)) === 0) await turn();
  proxy.cut();
  proxy.heal();
  await publishing;
  const first = await kit.channel.get(queue, { noAck: true });
  const second = await kit.channel.get(queue, { noAck: true });
  if (!first || !second) throw new Error('there should be two copies');
  expect(second.properties.messageId).toBe(first.properties.messageId);
});

test('three cuts under load: every offer settles once, and what was not confirmed arrives when offered again', async () => {
  const { proxy, publisher } = await setup();
  const queue = await kit.queue('cuts', { 'x-queue-type': 'quorum' });
  const waiting = Array.from({ length: 3_000 }, (_, n) => n);
  const confirmed = new Set<number>();
  let settles = 0;
  let offers = 0;
  let cuts = 0;
  while (confirmed.size < 3_000) {
    const n = waiting.shift();
    if (n === undefined) {
      await turn();
      continue;
    }
    if (!publisher.hasRoom) await publisher.room(forever);
    offers += 1;
    publisher.offer(message('', queue, String(n)), ({ kind }) => {
      settles += 1;
      if (kind === 'confirmed') confirmed.add(n);
      else waiting.push(n);
      if (confirmed.size > 700 * (cuts + 1) && cuts < 3) {
        cuts += 1;
        proxy.cut();
      }
    });
  }
  expect(cuts).toBe(3);
  expect(settles).toBe(offers);
  expect(new Set(await kit.drain(queue)).size).toBe(3_000);
});

test('a confirm that does not come settles as unknown in time, on a new channel the next ones go on', async () => {
  const { proxy, publisher, log, connection } = await setup({ timeoutMs: 200 });
  const queue = await kit.queue('no-confirm');
  await publisher.publish(message('', queue));
  const outcomes = new Outcomes();
  proxy.holdToClient();
  for (let n = 0; n < 10; n++) publisher.offer(message('', queue), outcomes.next());
  const all = await outcomes.all();
  expect(all).toHaveLength(10);
  expect(all[0]).toMatchObject({ kind: 'unknown', error: { code: 'SVC_COMM_PUBLISH_TIMEOUT', timeoutMs: 200 } });
  expect(log.count('confirms do not come')).toBe(1);
  expect(publisher.hasRoom).toBe(false);
  proxy.heal();
  await publisher.room(forever);
  await publisher.publish(message('', queue));
  expect(connection.stats.reconnects).toBe(0);
  // The late confirms have come by now, in front of the channel's that confirmed the last one: they count for nothing.
  expect(publisher.inFlight).toBe(0);
});

test('a caller with a short deadline gives up alone: its neighbours keep their channel and their confirms', async () => {
  const { proxy, publisher, log } = await setup();
  const queue = await kit.queue('short');
  await publisher.publish(message('', queue));
  const outcomes = new Outcomes();
  proxy.holdToClient();
  publisher.offer(message('', queue), outcomes.next());
  const error = await publisher.publish(message('', queue), { timeoutMs: 50 }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'SVC_COMM_PUBLISH_TIMEOUT', timeoutMs: 50 });
  expect(publisher.inFlight).toBe(2);
  proxy.heal();
  expect(await outcomes.kinds()).toEqual({ confirmed: 1 });
  expect(log.count('confirms do not come')).toBe(0);
  expect(publisher.inFlight).toBe(0);
});

test('a publish that could never be sent says that the broker is not there', async () => {
  const { proxy, publisher, log } = await setup();
  proxy.refuse();
  proxy.cut();
  await log.seen('lost the broker');
  await expect(publisher.publish(message('', 'q'), { timeoutMs: 80 })).rejects.toMatchObject({
    code: 'SVC_COMM_BROKER_UNAVAILABLE',
  });
});

test('while the broker blocks us nothing is sent; a publish says why it failed, or goes out when it is over', async () => {
  const { proxy, publisher, connection, log } = await setup();
  const queue = await kit.queue('blocked');
  await publisher.publish(message('', queue));
  proxy.injectToClient(blockedFrame('low on disk'));
  await log.seen('takes no publishes');
  expect(publisher.hasRoom).toBe(false);
  await expect(publisher.publish(message('', queue), { timeoutMs: 50 })).rejects.toThrow(/low on disk/);
  const outcomes = new Outcomes();
  publisher.offer(message('', queue), outcomes.next());
  const publishing = publisher.publish(message('', queue));
  await turn();
  expect(publisher.stats.published).toBe(1);
  proxy.injectToClient(blockedFrame(undefined));
  await publishing;
  expect(await outcomes.kinds()).toEqual({ confirmed: 1 });
  expect(publisher.stats.published).toBe(3);
  expect(connection.stats.reconnects).toBe(0);
});

test('what was held up until its sender may not send it any more is not sent', async () => {
  const { proxy, publisher, log } = await setup();
  const queue = await kit.queue('held-up');
  await publisher.publish(message('', queue, 'first'));
  const outcomes = new Outcomes();
  let mayGo = true;
  proxy.injectToClient(blockedFrame('low on disk'));
  await log.seen('takes no publishes');
  publisher.offer(message('', queue, 'lost'), outcomes.next(), () => mayGo);
  publisher.offer(message('', queue, 'kept'), outcomes.next());
  mayGo = false;
  proxy.injectToClient(blockedFrame(undefined));
  expect(await outcomes.kinds()).toEqual({ unknown: 1, confirmed: 1 });
  expect(await kit.drain(queue)).toEqual(['first', 'kept']);
  expect(publisher.inFlight).toBe(0);
});

test('one publish to a missing exchange among 50 is refused alone; the others arrive, in order', async () => {
  const { publisher } = await setup({ declare: 'none' });
  const queue = await kit.queue('guilty', { 'x-queue-type': 'quorum' });
  const outcomes = new Outcomes();
  const missing = kit.exchangeName('missing');
  for (let n = 0; n < 50; n++) publisher.offer(message(n === 20 ? missing : '', queue, String(n)), outcomes.next());
  const all = await outcomes.all();
  for (const [n, outcome] of all.entries()) expect(outcome.kind).toBe(n === 20 ? 'refused' : 'confirmed');
  expect(all[20]).toMatchObject({
    error: { code: 'SVC_COMM_PUBLISH_REFUSED', exchange: missing, message: expect.stringContaining('no exchange') },
  });
  const bodies = (await kit.drain(queue)).map(Number);
  // Those sent before the channel closed may be there twice; the second round is in order.
  expect(bodies.slice(-29)).toEqual(Array.from({ length: 29 }, (_, n) => n + 21));
  expect(new Set(bodies).size).toBe(49);
});

test('what the error does not name is found by sending one at a time', async () => {
  const { publisher, log } = await setup({ declare: 'none' });
  const queue = await kit.queue('anonymous', { 'x-queue-type': 'quorum' });
  const outcomes = new Outcomes();
  // A user id that is not the connection's closes the channel with 406, and the text names no exchange.
  for (let n = 0; n < 50; n++) {
    publisher.offer(message('', queue, String(n), n === 33 ? { userId: 'somebody-else' } : {}), outcomes.next());
  }
  const all = await outcomes.all();
  for (const [n, outcome] of all.entries()) expect(outcome.kind).toBe(n === 33 ? 'refused' : 'confirmed');
  expect(log.count('closed the publish channel')).toBe(2);
  expect(new Set(await kit.drain(queue)).size).toBe(49);
});

test('several guilty ones are each refused, and no other', async () => {
  const { publisher } = await setup({ declare: 'none' });
  const queue = await kit.queue('several');
  const outcomes = new Outcomes();
  const missing = kit.exchangeName('several-missing');
  const isGuilty = (n: number) => n % 17 === 5;
  for (let n = 0; n < 100; n++) {
    const wrong = n % 2 === 0 ? { userId: 'somebody-else' } : {};
    const exchange = isGuilty(n) && n % 2 === 1 ? missing : '';
    publisher.offer(message(exchange, queue, String(n), isGuilty(n) ? wrong : {}), outcomes.next());
  }
  for (const [n, outcome] of (await outcomes.all()).entries()) {
    expect(`${n} ${outcome.kind}`).toBe(`${n} ${isGuilty(n) ? 'refused' : 'confirmed'}`);
  }
});

test('publishers that come while the guilty one is looked for get their own outcomes', async () => {
  const { publisher } = await setup({ declare: 'none' });
  const queue = await kit.queue('meanwhile');
  const outcomes = new Outcomes();
  for (let n = 0; n < 30; n++) {
    publisher.offer(message('', queue, String(n), n === 29 ? { userId: 'somebody-else' } : {}), (outcome) => {
      settleOf[n]?.(outcome);
      if (n < 10) publisher.offer(message('', queue, `late ${n}`), outcomes.next());
    });
  }
  const settleOf = Array.from({ length: 30 }, () => outcomes.next());
  const kinds = await outcomes.kinds();
  expect(kinds).toEqual({ confirmed: 39, refused: 1 });
});
