import { afterEach, beforeEach, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { Reject } from '../../src/errors.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { HEADER } from '../../src/message/message.ts';
import { deadQueueName, type QueueType, retryQueueName } from '../../src/message/topology.ts';
import { AmqpLab } from '../support/amqp-lab.ts';
import { until } from '../support/consumer-kit.ts';
import { testBrokerUrl, uniqueName } from '../support/servers.ts';

const RETRY_MS = 200;

let lab: AmqpLab;
let channel: Awaited<ReturnType<AmqpLab['channel']>>;
/** The service's own. */
let name: string;
let jobs: string;
const services: SvcCommService[] = [];

beforeEach(async () => {
  lab = new AmqpLab(testBrokerUrl());
  channel = await lab.channel();
  name = uniqueName('taker');
  jobs = uniqueName('jobs');
});

afterEach(async () => {
  await Promise.all(services.splice(0).map((made) => made.close()));
  const cleaning = await lab.channel();
  for (const queue of [name, jobs]) {
    for (const made of [queue, deadQueueName(queue), retryQueueName(queue, RETRY_MS)]) await cleaning.deleteQueue(made);
  }
  await cleaning.deleteExchange(`${name}.events`);
  await lab.close();
});

function service(declare: 'create' | 'verify' | 'none' = 'create'): SvcCommService {
  const made = createService(
    {
      appId: name,
      brokerUrl: testBrokerUrl(),
      queue: name,
      exchanges: [[`${name}.events`, 'topic']],
      retry: { attempts: 2, delays: [`${RETRY_MS}ms`] },
      declare,
    },
    { logger: silentLogger },
  );
  services.push(made);
  return made;
}

/** A queue that svc-comm has not made, and one message in it. */
async function queueWith(body: string, queue: string, type: QueueType = 'classic'): Promise<void> {
  await channel.assertQueue(queue, { arguments: { 'x-queue-type': type, 'x-max-length': 1000 } });
  await lab.send(channel, queue, body);
  await waits(queue);
}

const waits = (queue: string) => until(async () => (await channel.checkQueue(queue)).messageCount === 1);

async function deadLetter() {
  const letter = await channel.get(deadQueueName(jobs), { noAck: true });
  return letter && { body: letter.content.toString(), reason: letter.properties.headers?.[HEADER.reason] };
}

const fails = () => {
  throw new Error('x');
};

it.each(['classic', 'quorum'] as const)(
  'a message of somebody else’s %s queue whose handler fails comes back to it after the delay, and is dead-lettered in the end; takeOne throws the handler’s error',
  async (type) => {
    await queueWith('{"n":1}', jobs, type);
    const taker = service();
    await expect(taker.takeOne(jobs, fails)).rejects.toThrow('x');
    await waits(jobs);
    const seen: unknown[] = [];
    const second = taker.takeOne(jobs, (routingKey, body, { exchange, attempt }) => {
      seen.push({ routingKey, body, exchange, attempt });
      throw new Error('x again');
    });
    await expect(second).rejects.toThrow('x again');
    expect(seen).toEqual([{ routingKey: jobs, body: { n: 1 }, exchange: '', attempt: 2 }]);
    expect(await deadLetter()).toEqual({ body: '{"n":1}', reason: 'attempts' });
    expect((await channel.checkQueue(jobs)).messageCount).toBe(0);
  },
);

it('a message of somebody else’s queue that the handler rejects, or that cannot be read, goes to the dead letters; takeOne throws why', async () => {
  await queueWith('{"n":1}', jobs);
  const rejects = () => {
    throw new Reject('not mine');
  };
  await expect(service().takeOne(jobs, rejects)).rejects.toMatchObject({ code: 'SVC_COMM_REJECT' });
  expect(await deadLetter()).toEqual({ body: '{"n":1}', reason: 'rejected' });
  await channel.deleteQueue(deadQueueName(jobs));

  await queueWith('no JSON', jobs);
  const read = service().takeOne(jobs, () => 'handled');
  await expect(read).rejects.toMatchObject({ code: 'SVC_COMM_MALFORMED_MESSAGE' });
  expect(await deadLetter()).toEqual({ body: 'no JSON', reason: 'malformed' });
});

it('for somebody else’s queue its retry and dead queues are made, and nothing of the service’s own', async () => {
  await queueWith('{}', jobs);
  await expect(service().takeOne(jobs, fails)).rejects.toThrow('x');
  const others = await lab.channel();
  await expect(others.checkQueue(name)).rejects.toThrow(/NOT_FOUND/);
  await expect((await lab.channel()).checkExchange(`${name}.events`)).rejects.toThrow(/NOT_FOUND/);
});

it.each([
  ['verify', 'jobs', 'SVC_COMM_TOPOLOGY_MISMATCH'],
  ['none', 'jobs', 'SVC_COMM_UNROUTABLE'],
  ['none', 'own', 'SVC_COMM_UNROUTABLE'],
] as const)(
  'with declare %s and no queue for the copy of a message of %s, takeOne gives the message back and throws %s',
  async (declare, whose, code) => {
    const queue = whose === 'own' ? name : jobs;
    await queueWith('{"n":1}', queue);
    const taker = service(declare);
    await expect(taker.takeOne(queue, fails)).rejects.toMatchObject({ code });
    await waits(queue);
    await expect(taker.takeOne(queue, () => Promise.reject(new Reject('no')))).rejects.toMatchObject({ code });
    await waits(queue);
    expect(await taker.takeOne(queue, (_key, body) => body)).toEqual({ n: 1 });
  },
);

it('a retry queue of other arguments keeps takeOne from a dead queue that is missing: it gives the message back and throws the difference', async () => {
  await queueWith('{"n":1}', jobs);
  await channel.assertQueue(retryQueueName(jobs, RETRY_MS));
  const rejects = () => Promise.reject(new Reject('no'));
  await expect(service().takeOne(jobs, rejects)).rejects.toMatchObject({ code: 'SVC_COMM_TOPOLOGY_MISMATCH' });
  await waits(jobs);
});
