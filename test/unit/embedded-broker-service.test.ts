import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { afterEach, describe, expect, it } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import type { EmbeddedBrokerOptions } from '../../src/embedded/broker/embedded-broker-options.ts';
import { InvalidArgumentError, SettingsError } from '../../src/errors.ts';
import { stressService } from '../support/start-stop-stress.ts';

const running: { broker: EmbeddedBroker; connections: ChannelModel[] }[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const { broker, connections } of running.splice(0)) {
    for (const connection of connections) await connection.close().catch(() => undefined);
    await broker.stop();
  }
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function setup(options: EmbeddedBrokerOptions = {}) {
  const broker = new EmbeddedBroker(options);
  await broker.start();
  const connections: ChannelModel[] = [];
  running.push({ broker, connections });
  const channel = async (query = ''): Promise<ConfirmChannel> => {
    const connection = await connect(`${broker.url}/${query}`);
    connection.on('error', () => undefined);
    connections.push(connection);
    return connection.createConfirmChannel();
  };
  return { broker, channel };
}

const send = (channel: ConfirmChannel, queue: string, text: string, options = {}): Promise<void> =>
  new Promise((resolve, reject) => {
    channel.sendToQueue(queue, Buffer.from(text), options, (error: unknown) => (error ? reject(error) : resolve()));
  });

async function temporaryFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-broker-'));
  folders.push(folder);
  return join(folder, 'broker.json');
}

describe('the embedded broker as a service', () => {
  it('survives any crossing of start and stop', () => stressService(() => new EmbeddedBroker(), 60));

  it('listens on the loopback interface only', () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.1', 'example.com']) {
      expect(() => new EmbeddedBroker({ host })).toThrow(InvalidArgumentError);
    }
  });

  it('says which port is taken', async () => {
    const { broker } = await setup();
    await expect(new EmbeddedBroker({ port: broker.port }).start()).rejects.toThrow(SettingsError);
  });

  it('knows the users it was given, and no guest then', async () => {
    const { broker } = await setup({ users: { orders: 's:e/c@ret' } });
    await (await connect(broker.url)).close();
    await expect(connect(`amqp://guest:guest@127.0.0.1:${broker.port}`)).rejects.toThrow(/ACCESS_REFUSED/);
  });

  it('tells its clients that it stops', async () => {
    const { broker, channel } = await setup();
    await channel();
    const [connection] = running.at(-1)?.connections ?? [];
    const closed = new Promise<Error | undefined>((resolve) => connection?.once('close', resolve));
    await broker.stop();
    expect((await closed)?.message).toContain('CONNECTION_FORCED');
  });

  it('expires by the clock it was given', async () => {
    let now = 1_000_000;
    const { broker, channel } = await setup({ clock: { now: () => now, monotonicMs: () => now } });
    const client = await channel();
    await client.assertQueue('dead');
    await client.assertQueue('wait', { messageTtl: 3_600_000, deadLetterExchange: '', deadLetterRoutingKey: 'dead' });
    await client.assertQueue('idle', { expires: 60_000 });
    await send(client, 'wait', 'x');
    now += 3_599_999;
    broker.clockMoved();
    expect(broker.queues().map(({ name, ready }) => `${name} ${ready}`)).toEqual(['dead 0', 'wait 1']);
    now += 1;
    broker.clockMoved();
    expect(broker.queues().map(({ name, ready }) => `${name} ${ready}`)).toEqual(['dead 1', 'wait 0']);
  });
});

describe('the state file', () => {
  it('brings back durable things with their persistent messages in order, unacked ones too', async () => {
    const stateFile = await temporaryFile();
    const first = await setup({ stateFile });
    const client = await first.channel();
    await client.assertExchange('orders', 'topic', { durable: true });
    await client.assertQueue('work', { durable: true, maxPriority: 3 });
    await client.assertQueue('gone', { durable: false });
    await client.bindQueue('work', 'orders', 'new.#');
    const headers = { list: [1, 'two', { three: true }] };
    for (const text of ['1', '2', '3']) await send(client, 'work', text, { persistent: true, headers });
    await send(client, 'work', 'transient', { persistent: false });
    const taken = await client.get('work');
    expect(taken ? taken.content.toString() : undefined).toBe('1');
    await first.broker.stop();
    const second = await setup({ stateFile });
    const again = await second.channel();
    await again.assertExchange('orders', 'topic', { durable: true });
    expect(second.broker.queues()).toMatchObject([{ name: 'work', ready: 3 }]);
    again.publish('orders', 'new.x', Buffer.from('4'));
    await again.waitForConfirms();
    const texts: string[] = [];
    for (let message = await again.get('work'); message; message = await again.get('work')) {
      texts.push(`${message.content} ${message.fields.redelivered}`);
      if (texts.length < 4) expect(message.properties.headers).toEqual(headers);
    }
    expect(texts).toEqual(['1 true', '2 false', '3 false', '4 false']);
  });

  it('has what a client was told of, at the moment when it is told: a kill then loses nothing of it', async () => {
    const stateFile = await temporaryFile();
    const { channel } = await setup({ stateFile });
    const client = await channel();
    await client.assertExchange('orders', 'topic', { durable: true });
    await client.assertQueue('work', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await client.assertQueue('dead', { durable: true });
    await client.bindQueue('work', 'orders', 'new.#');
    await client.assertQueue('dropped', { durable: true });
    await client.deleteQueue('dropped');
    for (const text of ['acked', 'unacked', 'waiting']) client.publish('orders', 'new.x', Buffer.from(text));
    await client.waitForConfirms();
    const [acked, unacked] = [await client.get('work'), await client.get('work')];
    if (!acked || !unacked) throw new Error('not delivered');
    client.ack(acked);
    // An answer behind the ack: whoever has it knows that the ack was heard.
    await client.checkQueue('work');

    const killed = `${stateFile}.killed`;
    await copyFile(stateFile, killed);
    const second = await setup({ stateFile: killed });
    expect(second.broker.queues().map(({ name, ready }) => `${name} ${ready}`)).toEqual(['work 2', 'dead 0']);
    const again = await second.channel();
    await again.publish('orders', 'new.y', Buffer.from('bound'));
    await again.waitForConfirms();
    const texts: string[] = [];
    for (let message = await again.get('work'); message; message = await again.get('work')) {
      texts.push(`${message.content} ${message.fields.redelivered}`);
    }
    expect(texts).toEqual(['unacked true', 'waiting false', 'bound false']);
  });

  it('counts a kill against the delivery limit of a quorum queue: the one too many is a dead letter at the next start', async () => {
    let stateFile = await temporaryFile();
    const delivered: boolean[] = [];
    for (let kills = 0; kills < 5; kills += 1) {
      const { broker, channel } = await setup({ stateFile });
      const client = await channel();
      if (kills === 0) {
        await client.assertExchange('letters', 'topic', { durable: true });
        await client.assertQueue('dead', { durable: true });
        await client.bindQueue('dead', 'letters', 'work');
        const limit = { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 };
        await client.assertQueue('work', { durable: true, deadLetterExchange: 'letters', arguments: limit });
        await send(client, 'work', 'kills its host');
      }
      const taken = await client.get('work');
      delivered.push(taken !== false);
      if (!taken) {
        expect(broker.queues().map(({ name, ready }) => `${name} ${ready}`)).toEqual(['dead 1', 'work 0']);
        const dead = await client.get('dead');
        const deaths = dead ? dead.properties.headers?.['x-death'] : undefined;
        expect(deaths).toMatchObject([{ queue: 'work', reason: 'delivery_limit', count: 1 }]);
        break;
      }
      const killed = `${stateFile}.killed`;
      await copyFile(stateFile, killed);
      stateFile = killed;
    }
    // As often as without a kill: the first time, and as many more as the limit says.
    expect(delivered).toEqual([true, true, true, false]);
  });

  it('can be read after a message died in a queue whose dead letters have a routing key that is too long to be one', async () => {
    const stateFile = await temporaryFile();
    const first = await setup({ stateFile });
    const client = await first.channel();
    await client.assertExchange('letters', 'topic', { durable: true });
    await client.assertQueue('dead', { durable: true });
    await client.bindQueue('dead', 'letters', '#');
    const deadLetters = { deadLetterExchange: 'letters', deadLetterRoutingKey: 'k'.repeat(300) };
    await client.assertQueue('work', { durable: true, maxLength: 1, ...deadLetters });
    for (const text of ['dies', 'stays']) await send(client, 'work', text, { persistent: true });
    const killed = `${stateFile}.killed`;
    await copyFile(stateFile, killed);
    const { broker } = await setup({ stateFile: killed });
    expect(broker.queues().map(({ name, ready }) => `${name} ${ready}`)).toEqual(['dead 0', 'work 1']);
  });

  it('ends where the broker was killed while it wrote: what stands before is read', async () => {
    const stateFile = await temporaryFile();
    const { channel } = await setup({ stateFile });
    const client = await channel();
    await client.assertQueue('work', { durable: true });
    await send(client, 'work', 'whole', { persistent: true });
    const before = await readFile(stateFile);
    await send(client, 'work', 'torn', { persistent: true });
    const after = await readFile(stateFile);
    expect(after.length).toBeGreaterThan(before.length);
    for (const length of [before.length + 1, before.length + 9, after.length - 1]) {
      const torn = `${stateFile}.${length}`;
      await writeFile(torn, after.subarray(0, length));
      const again = await setup({ stateFile: torn });
      expect(again.broker.queues()).toMatchObject([{ name: 'work', ready: 1 }]);
    }
  });

  it('that cannot be written ends the broker: nobody is told what would not be kept', async () => {
    const stateFile = await temporaryFile();
    const broken = new Promise<unknown>((resolve) => {
      void setup({ stateFile, onBroken: resolve }).then(async ({ channel }) => {
        const client = await channel();
        await client.assertQueue('work', { durable: true });
        await send(client, 'work', 'kept', { persistent: true });
        closeUnderIt(stateFile);
        client.sendToQueue('work', Buffer.from('not kept'), { persistent: true }, (error) => {
          if (!error) throw new Error('it was confirmed');
        });
      });
    });
    expect(await broken).toMatchObject({ code: 'EBADF' });
    const again = await setup({ stateFile });
    expect(again.broker.queues()).toMatchObject([{ name: 'work', ready: 1 }]);
  });

  it('is written anew when most of it is of the past', async () => {
    const stateFile = await temporaryFile();
    const { channel } = await setup({ stateFile });
    const client = await channel();
    await client.assertQueue('work', { durable: true });
    await send(client, 'work', 'stays', { persistent: true });
    const body = Buffer.alloc(1024 * 1024);
    await client.assertQueue('passing', { durable: true });
    for (let round = 0; round < 40; round += 1) {
      client.sendToQueue('passing', body, { persistent: true });
      await client.waitForConfirms();
      await client.purgeQueue('passing');
    }
    expect((await stat(stateFile)).size).toBeLessThan(20 * body.length);
    const copy = `${stateFile}.copy`;
    await copyFile(stateFile, copy);
    expect((await setup({ stateFile: copy })).broker.queues()).toMatchObject([{ ready: 1 }, { ready: 0 }]);
  });

  it('refuses a file that is none, and leaves it as it is', async () => {
    const stateFile = await temporaryFile();
    await writeFile(stateFile, 'my diary');
    const broker = new EmbeddedBroker({ stateFile });
    await expect(broker.start()).rejects.toThrow(SettingsError);
    await broker.stop();
    expect(await readFile(stateFile, 'utf8')).toBe('my diary');
    expect(await readdir(join(stateFile, '..'))).toEqual(['broker.json']);
  });
});

describe('slow peers', () => {
  it('delivers 100,000 messages in order to a consumer that stops reading, within bounded memory', async () => {
    const count = 100_000;
    const { broker, channel } = await setup();
    const [publisher, consumer] = [await channel(), await channel()];
    await publisher.assertQueue('slow', { durable: false });
    const body = Buffer.alloc(200);
    const socket = (consumer.connection as unknown as { stream: NodeJS.ReadableStream }).stream;
    const readers = socket.listeners('readable') as (() => void)[];
    let next = 0;
    let inversions = 0;
    const done = new Promise<void>((resolve) => {
      consumer.consume(
        'slow',
        (message) => {
          if (!message) return;
          if (message.content.readUInt32BE(0) !== next) inversions += 1;
          next += 1;
          if (next === count) resolve();
        },
        { noAck: true },
      );
    });
    await consumer.checkQueue('slow');
    // Nobody reads the socket any more.
    socket.removeAllListeners('readable');
    for (let i = 0; i < count; i++) {
      const copy = Buffer.from(body);
      copy.writeUInt32BE(i, 0);
      publisher.sendToQueue('slow', copy);
      if (i % 1000 === 999) await publisher.waitForConfirms();
    }
    // What the client does not read stays in the queue: only sockets' buffers are filled.
    const waiting = broker.queues()[0]?.ready ?? 0;
    expect(waiting).toBeGreaterThan(count / 2);
    for (const read of readers) socket.on('readable', read);
    await done;
    expect(inversions).toBe(0);
    expect(broker.queues()[0]).toMatchObject({ ready: 0, unacked: 0 });
  });

  it('lets publishers wait while queues hold more than the memory limit, and tells them', async () => {
    const { broker, channel } = await setup({ memoryLimitBytes: 200_000 });
    const [publisher, consumer] = [await channel(), await channel()];
    const words: string[] = [];
    const [connection] = running.at(-1)?.connections ?? [];
    connection?.on('blocked', () => words.push('blocked'));
    connection?.on('unblocked', () => words.push('unblocked'));
    await publisher.assertQueue('full', { durable: false });
    for (let i = 0; i < 1000; i++) publisher.sendToQueue('full', Buffer.alloc(1000));
    await expect.poll(() => words).toEqual(['blocked']);
    const held = broker.queues()[0]?.ready ?? 0;
    expect(held).toBeLessThan(1000);
    let got = 0;
    await new Promise<void>((resolve) => {
      consumer.consume('full', () => ++got === 1000 && resolve(), { noAck: true });
    });
    await publisher.waitForConfirms();
    expect(words.at(-1)).toBe('unblocked');
  });

  it('ends a connection that is silent for two heartbeats, and gives back what it held', async () => {
    const { broker, channel } = await setup();
    const [dying, watching] = [await channel('?heartbeat=1'), await channel()];
    await watching.assertQueue('q', { durable: false });
    await send(watching, 'q', 'x');
    await dying.get('q');
    // Its socket stays open, but nothing is sent any more.
    const stream = (dying.connection as unknown as { stream: { write: unknown; pause(): void } }).stream;
    stream.write = () => true;
    await expect.poll(() => broker.connectionCount, { timeout: 5000 }).toBe(1);
    const message = await watching.get('q');
    expect(message ? message.fields.redelivered : undefined).toBe(true);
  });
});

/** What a disk that fails does: the next write is refused. */
function closeUnderIt(file: string): void {
  const open = readdirSync('/proc/self/fd').find((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`) === file;
    } catch {
      return false;
    }
  });
  closeSync(Number(open));
}
