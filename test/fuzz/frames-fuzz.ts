import { connect as dial } from 'node:net';
import { connect } from 'amqplib';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import type { Logger } from '../../src/lifecycle/logger.ts';
import { amqpProxy } from '../faults/proxy/amqp-session.ts';
import { Random } from '../faults/random.ts';
import { damaged } from './mutate.ts';

export interface FramesFuzz {
  readonly frames: number;
  readonly connections: number;
  /** Connections that the broker did not end within the time. */
  readonly hung: number;
  /** Errors of its own that it logged. */
  readonly failures: readonly string[];
  /** Of the messages put into a queue before, those that are there no more. */
  readonly unaccounted: number;
  readonly connectionsLeft: number;
}

const HANG_MS = 30_000;
const WITNESSES = 200;

/** Sends the embedded broker the frames of a real client, damaged; in between it has to serve another client. */
export async function fuzzFrames(count: number, seed: number): Promise<FramesFuzz> {
  const failures: string[] = [];
  const silent = () => undefined;
  const logger: Logger = {
    debug: silent,
    info: silent,
    warn: silent,
    error: (fields, text) => failures.push(`${text} ${JSON.stringify(fields)}`),
  };
  const broker = new EmbeddedBroker({ logger });
  await broker.start();
  const witness = await connect(broker.url);
  try {
    const channel = await witness.createConfirmChannel();
    await channel.assertQueue('witness');
    for (let i = 0; i < WITNESSES; i++) channel.sendToQueue('witness', Buffer.from(String(i)));
    await channel.waitForConfirms();
    const { handshake, session } = await recorded(broker.url);
    const random = new Random(seed);
    let frames = 0;
    let connections = 0;
    let hung = 0;
    const client = async () => {
      while (frames < count) {
        const hurt = Array.from({ length: 50 }, () => damaged(random.pick(session), random, random.isOneIn(8) ? 0 : 7));
        frames += hurt.length;
        connections += 1;
        const opening = random.isOneIn(10) ? handshake.map((frame) => damaged(frame, random)) : handshake;
        const bytes = Buffer.concat([...opening, ...session.slice(0, random.below(session.length)), ...hurt]);
        if (!(await send(broker.port, bytes))) hung += 1;
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    let left = 0;
    // Damaged frames may name any queue, but they know the name of none but theirs.
    while (await channel.get('witness', { noAck: true })) left += 1;
    await witness.close();
    return {
      frames,
      connections,
      hung,
      failures: failures.slice(0, 5),
      unaccounted: WITNESSES - left,
      connectionsLeft: broker.connectionCount,
    };
  } finally {
    await broker.stop();
  }
}

/** What amqplib says in a session that uses most of the methods, frame by frame. */
async function recorded(url: string): Promise<{ handshake: Buffer[]; session: Buffer[] }> {
  const proxy = await amqpProxy(url);
  const said: Buffer[] = [];
  proxy.watch(({ bytes }, direction) => {
    if (direction === 'to-server') said.push(Buffer.from(bytes));
  });
  const connection = await connect(proxy.url(url));
  const channel = await connection.createConfirmChannel();
  const handshake = said.splice(0);
  await channel.assertExchange('fuzz', 'topic', { autoDelete: true, durable: false });
  await channel.assertQueue('fuzz', { durable: false, arguments: { 'x-max-length': 100, 'x-message-ttl': 1000 } });
  await channel.bindQueue('fuzz', 'fuzz', 'a.#', { any: 'thing' });
  await channel.prefetch(3);
  channel.publish('fuzz', 'a.b', Buffer.from('abc'), {
    headers: { text: 'x', list: [1, 'two', { three: 3 }] },
    priority: 1,
    expiration: '500',
    mandatory: true,
  });
  await channel.waitForConfirms();
  const { consumerTag } = await channel.consume('fuzz', (message) => message && channel.ack(message));
  await channel.cancel(consumerTag);
  await channel.get('fuzz', { noAck: false });
  channel.nackAll(true);
  await channel.recover();
  await channel.purgeQueue('fuzz');
  await channel.unbindQueue('fuzz', 'fuzz', 'a.#');
  await channel.checkQueue('fuzz');
  const session = said.splice(0);
  await connection.close();
  await proxy.close();
  return { handshake, session };
}

/** @returns whether the broker ended the connection in time */
function send(port: number, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dial(port, '127.0.0.1', () => socket.end(bytes));
    const timer = setTimeout(() => {
      resolve(false);
      socket.destroy();
    }, HANG_MS);
    socket.resume();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
