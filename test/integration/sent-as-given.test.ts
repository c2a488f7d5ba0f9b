import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { SvcCommService } from '../../src/assemble.ts';
import { eventOf } from '../../src/contract/typed.ts';
import { leaveDefault, useAsDefault } from '../../src/default-service.ts';
import * as frontDoor from '../../src/index.ts';
import { callable, command, event } from '../../src/message/contract.ts';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let exchange: string;
const services: SvcCommService[] = [];

beforeAll(async () => {
  kit = await ServiceKit.open('sent_as_given');
  await service().migrate();
  exchange = kit.exchangeName('taker');
  await kit.channel.assertExchange(exchange, 'topic', { durable: true });
  await kit.channel.assertQueue(exchange, { durable: true });
  await kit.channel.bindQueue(exchange, exchange, '#');
});
afterAll(() => kit.close());

/** One that has done nothing yet: what it needs is connected while the message waits. */
function service(): SvcCommService {
  const made = kit.service(`sender-${services.length}`);
  services.push(made);
  return made;
}

/** Everything that was written or sent with this mark. */
async function bodiesWith(mark: string): Promise<string[]> {
  const { rows } = await kit.pg.query(
    `SELECT body FROM ${kit.table('svc_comm_outbox')} WHERE body LIKE $1
     UNION ALL SELECT body FROM ${kit.table('svc_comm_future')} WHERE body LIKE $1`,
    [`%${mark}%`],
  );
  const bodies = rows.map(({ body }) => body as string);
  for (let message = await kit.channel.get(exchange, { noAck: true }); message; ) {
    bodies.push(message.content.toString());
    message = await kit.channel.get(exchange, { noAck: true });
  }
  return bodies.filter((body) => body.includes(mark));
}

type Sender = Pick<SvcCommService, 'sendCommand' | 'call' | 'sendCall' | 'publishAggregateEvent'> &
  Pick<SvcCommService, 'publishAggregateEvents' | 'publishFutureAggregateEvent'>;

const own = { transaction: 'own' };
const soon = { timeout: 30 };
const schema = z.object({ mark: z.string(), state: z.string() });
const slow = schema.refine(async () => true);
const data = (mark: string) => ({ mark, state: 'as given' });
type Given = ReturnType<typeof data>;

const WAYS: Readonly<Record<string, (sender: Sender, given: Given) => Promise<unknown>>> = {
  publishAggregateEvent: (sender, payload) =>
    sender.publishAggregateEvent({ aggregate: exchange, eventType: 'a', payload }, own),
  'publishAggregateEvent by a contract': (sender, payload) =>
    sender.publishAggregateEvent(event(exchange, 'a', schema), payload, own),
  'publishAggregateEvent by a contract that takes its time': (sender, payload) =>
    sender.publishAggregateEvent(event(exchange, 'a', slow), payload, own),
  'publishAggregateEvents of eventOf, by a contract that takes its time': async (sender, payload) =>
    sender.publishAggregateEvents([await eventOf(event(exchange, 'a', slow), payload)], own),
  publishAggregateEvents: (sender, payload) =>
    sender.publishAggregateEvents([{ aggregate: exchange, eventType: 'a', payload }], own),
  publishFutureAggregateEvent: (sender, payload) =>
    sender.publishFutureAggregateEvent(
      { aggregate: exchange, eventType: 'a', payload, eventTime: new Date(Date.now() + 3_600_000) },
      own,
    ),
  sendCommand: (sender, args) => sender.sendCommand(exchange, args, soon),
  'sendCommand by a contract': (sender, args) => sender.sendCommand(command(exchange, 'a', schema), args, soon),
  'sendCommand by a contract that takes its time': (sender, args) =>
    sender.sendCommand(command(exchange, 'a', slow), args),
  'sendCommand with a transaction': (sender, args) => sender.sendCommand(exchange, args, { ...soon, ...own }),
  sendCall: (sender, given) => sender.sendCall(exchange, 'a', given, { ...soon, ...own }),
  'sendCall by a contract': (sender, given) =>
    sender.sendCall(callable(exchange, 'a', { input: schema, output: schema }), given, own),
  // Nobody answers.
  call: (sender, given) => sender.call(exchange, 'a', given, { timeout: 1 }).catch(() => undefined),
  'call by a contract that takes its time': (sender, given) =>
    sender.call(callable(exchange, 'a', { input: slow, output: schema }), given, { timeout: 1 }).catch(() => undefined),
};

/** From a service, from the functions of the package, and from those while the settings are still to be read. */
const SENDERS: Readonly<Record<string, () => { sender: Sender; end: () => void | Promise<void> }>> = {
  'a service': () => ({ sender: service(), end: () => undefined }),
  'the package': () => {
    const behind = service();
    useAsDefault(behind);
    return { sender: frontDoor, end: () => leaveDefault(behind) };
  },
  'the package at its first use': () => {
    const { appId, schema } = service().settings;
    const [brokerUrl, databaseUrl] = [testBrokerUrl(), testDatabaseUrl()];
    const variables = { APP_ID: appId, SCHEMA: schema, BROKER_URL: brokerUrl, DATABASE_URL: databaseUrl };
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(`SVC_COMM_${name}`, value);
    return { sender: frontDoor, end: () => frontDoor.close().finally(() => vi.unstubAllEnvs()) };
  },
};

describe.each(Object.entries(WAYS))('%s', (way, send) => {
  test.each(Object.entries(SENDERS))(
    'by %s sends what it was given, whatever becomes of it meanwhile',
    async (who, make) => {
      const { sender, end } = make();
      const given = data(`${way} by ${who}.`);
      const { mark } = given;
      const sent = send(sender, given);
      given.state = 'changed meanwhile';
      await sent.finally(end);
      expect(await bodiesWith(mark)).toEqual([expect.stringContaining('"as given"')]);
    },
  );
});

test('what cannot be sent is refused in its own words, also when the schema takes its time', async () => {
  const taken = event(
    exchange,
    'a',
    z.object({ n: z.any() }).refine(async () => true),
  );
  await expect(service().publishAggregateEvent(taken, { n: Number.NaN }, own)).rejects.toMatchObject({
    code: 'SVC_COMM_UNSERIALISABLE_PAYLOAD',
    message: expect.stringContaining('payload.n'),
  });
});
