import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Channel, type ConfirmChannel, connect } from 'amqplib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { deferred } from '../../src/util/deferred.ts';

const CLASSIC = ['classic', 'limited', 'letters'] as const;
const QUEUES = [...CLASSIC, 'quorum'] as const;
const queue = fc.constantFrom(...QUEUES);
const operation = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('send' as const), queue, isPersistent: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('publish' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('ack', 'requeue', 'reject', 'keep'), queue }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('purge', 'delete', 'bind', 'unbind'), queue }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

async function declare(channel: Channel): Promise<void> {
  await channel.assertExchange('events', 'topic', { durable: true });
  await channel.assertQueue('classic', { durable: true, deadLetterExchange: '', deadLetterRoutingKey: 'letters' });
  await channel.assertQueue('limited', { durable: true, maxLength: 3 });
  await channel.assertQueue('letters', { durable: true });
  await channel.assertQueue('quorum', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
}

async function apply(channel: ConfirmChannel, operations: readonly Operation[]): Promise<void> {
  let sent = 0;
  for (const each of operations) {
    await declare(channel);
    if (each.kind === 'send' && 'isPersistent' in each) {
      channel.sendToQueue(each.queue, Buffer.from(String(sent++)), { persistent: each.isPersistent });
    } else if (each.kind === 'publish')
      channel.publish('events', 'x', Buffer.from(String(sent++)), { persistent: true });
    else if ('queue' in each) await change(channel, each.kind, each.queue);
    await channel.waitForConfirms();
  }
}

async function change(channel: Channel, kind: string, name: string): Promise<void> {
  if (kind === 'purge') await channel.purgeQueue(name);
  else if (kind === 'delete') await channel.deleteQueue(name);
  else if (kind === 'bind') await channel.bindQueue(name, 'events', '#');
  else if (kind === 'unbind') await channel.unbindQueue(name, 'events', '#');
  else {
    const message = await channel.get(name);
    if (!message || kind === 'keep') return;
    if (kind === 'ack') channel.ack(message);
    else channel.nack(message, false, kind === 'requeue');
  }
  // Its answer says that what came before was heard.
  await channel.checkExchange('events');
}

/** What is in each queue, in order; and what a message through the exchange reaches. */
async function look(url: string): Promise<Record<string, readonly string[]>> {
  const model = await connect(url);
  const channel = await model.createConfirmChannel();
  const found: Record<string, readonly string[]> = {};
  await declare(channel);
  for (const name of QUEUES) {
    const bodies: string[] = [];
    for (let got = await channel.get(name, { noAck: true }); got; got = await channel.get(name, { noAck: true })) {
      // Transient ones do not outlive the process, but for those of quorum queues.
      if (got.properties.deliveryMode === 2 || name === 'quorum') bodies.push(got.content.toString());
    }
    // A quorum queue delivers first what was given back; after a restart all is in the order of its arrival.
    found[name] = name === 'quorum' ? bodies.sort() : bodies;
  }
  // Into empty queues: in a full one it would push out another, and where transient ones were lost, none.
  channel.publish('events', 'x', Buffer.from('bound'), { persistent: true });
  await channel.waitForConfirms();
  for (const name of QUEUES) {
    const got = await channel.get(name, { noAck: true });
    if (got) found[`${name}, bound`] = [got.content.toString()];
  }
  await model.close();
  return found;
}

it('what a broker has at a kill is what the next one has, whatever was done before', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-journal-'));
  let run = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 30 }), async (operations) => {
        run += 1;
        const stateFile = join(folder, String(run));
        const broker = new EmbeddedBroker({ stateFile });
        await broker.start();
        const model = await connect(broker.url);
        await apply(await model.createConfirmChannel(), operations);
        await copyFile(stateFile, `${stateFile}.killed`);
        await model.close();
        const killed = new EmbeddedBroker({ stateFile: `${stateFile}.killed` });
        await killed.start();
        try {
          expect(await look(killed.url)).toEqual(await look(broker.url));
        } finally {
          await Promise.all([broker.stop(), killed.stop()]);
        }
      }),
      { numRuns: 40 },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('a state file that is damaged in the middle is kept as it was, and what stands before the damage is there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-journal-'));
  try {
    const stateFile = join(folder, 'journal');
    const broker = new EmbeddedBroker({ stateFile });
    await broker.start();
    const model = await connect(broker.url);
    const channel = await model.createConfirmChannel();
    await channel.assertQueue('classic', { durable: true });
    for (const body of ['first', 'second', 'third']) {
      channel.sendToQueue('classic', Buffer.from(body), { persistent: true });
      await channel.waitForConfirms();
    }
    const damaged = await readFile(stateFile);
    damaged[damaged.indexOf('second')] = 0;
    await model.close();
    await broker.stop();
    await writeFile(stateFile, damaged);

    const logged: object[] = [];
    const next = new EmbeddedBroker({ stateFile, logger: { ...silentLogger, warn: (fields) => logged.push(fields) } });
    await next.start();
    expect(next.queues()).toMatchObject([{ name: 'classic', ready: 1 }]);
    await next.stop();
    const [copy = ''] = (await readdir(folder)).filter((file) => file.includes('damaged'));
    expect(logged).toMatchObject([{ file: stateFile, kept: join(folder, copy) }]);
    expect(await readFile(join(folder, copy))).toEqual(damaged);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('a broker whose state file was removed or replaced confirms nothing more, ends, and leaves what stands there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-journal-'));
  try {
    for (const others of [undefined, 'another file']) {
      const stateFile = join(folder, `journal of ${others}`);
      const broken = deferred<unknown>();
      const broker = new EmbeddedBroker({ stateFile, onBroken: broken.resolve });
      await broker.start();
      const model = await connect(broker.url);
      model.on('error', () => undefined);
      const channel = await model.createConfirmChannel();
      await channel.assertQueue('classic', { durable: true });
      await rm(stateFile);
      if (others !== undefined) await writeFile(stateFile, others);
      channel.sendToQueue('classic', Buffer.from('lost'), { persistent: true });
      await expect(channel.waitForConfirms()).rejects.toThrow();
      expect(await broken.promise).toMatchObject({ message: `${stateFile} was removed or replaced` });
      await broker.stop();
      expect(await readFile(stateFile, 'utf8').catch(() => undefined)).toBe(others);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('a journal that is written anew while a connection gives back its messages has all of them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-journal-'));
  const stateFile = join(folder, 'journal');
  const broker = new EmbeddedBroker({ stateFile });
  try {
    await broker.start();
    const models = [await connect(broker.url), await connect(broker.url)] as const;
    const [going, staying] = models;
    going.on('error', () => undefined);
    const channel = await staying.createConfirmChannel();
    const send = async (name: string, bytes: number) => {
      channel.sendToQueue(name, Buffer.alloc(bytes), { persistent: true });
      await channel.waitForConfirms();
    };
    for (const name of ['passed on', 'waits', 'filler']) await channel.assertQueue(name, { durable: true });
    // More than is gathered for a client before it is written: giving it back writes to the one that stays.
    await send('passed on', 200 * 1024);
    await send('waits', 1);
    for (const name of ['passed on', 'waits']) expect(await (await going.createChannel()).get(name)).toBeTruthy();
    const again = deferred<void>();
    await channel.consume('passed on', () => again.resolve());

    // As long as a journal becomes before it is written anew, but for the next record.
    const limit = 32 * 1024 * 1024;
    const bytes = async () => (await stat(stateFile)).size;
    while ((await bytes()) < limit - 3 * 1024 * 1024) {
      await send('filler', 1024 * 1024);
      await channel.purgeQueue('filler');
    }
    const before = await bytes();
    await send('filler', 1000);
    const overhead = (await bytes()) - before - 1000;
    await send('filler', limit - (await bytes()) - overhead - 1);
    expect(await bytes()).toBe(limit - 1);

    (going.connection as unknown as { stream: Socket }).stream.destroy();
    await again.promise;
    await expect.poll(bytes).toBeLessThan(limit / 2);
    await copyFile(stateFile, `${stateFile}.killed`);
    const killed = new EmbeddedBroker({ stateFile: `${stateFile}.killed` });
    await killed.start();
    const ready = Object.fromEntries(killed.queues().map((each) => [each.name, each.ready]));
    await killed.stop();
    expect(ready).toEqual({ 'passed on': 1, waits: 1, filler: 2 });
    await staying.close();
  } finally {
    await broker.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
