import { type } from 'arktype';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { SvcCommService } from '../../src/assemble.ts';
import { eventOf } from '../../src/contract/typed.ts';
import {
  ContractViolationError,
  InvalidArgumentError,
  InvalidConsumerError,
  RemoteError,
  UnroutableError,
} from '../../src/errors.ts';
import { callable, command, event } from '../../src/message/contract.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { until } from '../support/consumer-kit.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let service: SvcCommService;
beforeAll(async () => {
  kit = await ServiceKit.open('contracts');
  service = kit.service('service');
  await service.migrate();
});
afterAll(() => kit.close());

/** A user, by each of the libraries: `name` is filled in, `id` is a number of at least 1. */
const LIBRARIES = {
  zod: z.object({ id: z.number().min(1), name: z.string().default('nobody') }),
  valibot: v.object({ id: v.pipe(v.number(), v.minValue(1)), name: v.optional(v.string(), 'nobody') }),
  arktype: type({ id: 'number >= 1', name: "string = 'nobody'" }),
};

describe.each(Object.entries(LIBRARIES))('a contract by %s', (library, schema) => {
  test('holds events, commands and calls on both sides', async () => {
    const own = kit.service(library);
    const name = own.settings.appId;
    const contracts = {
      event: event(name, 'user.updated', schema),
      command: command(name, 'user.delete', schema),
      call: callable(name, 'user.rename', { input: schema, output: schema }),
    };
    const taken: unknown[] = [];
    own.messageRouter.consumer(contracts.event)(async (user, { eventType }, { routingKey }) => {
      taken.push([user, eventType, routingKey]);
    });
    own.messageRouter.consumer(contracts.command)(async (user, { deadline }) => {
      taken.push([user, deadline instanceof Date]);
    });
    // What it answers must be a user too.
    own.messageRouter.consumer(contracts.call)(async ({ id, name: was }) => ({
      id: id === 9 ? 0 : id,
      name: `${was}!`,
    }));
    const [consumer, relay] = [own.consumer(), own.relay()];
    await Promise.all([consumer.start(), relay.start()]);

    await own.publishAggregateEvent(contracts.event, { id: 1 }, { transaction: 'own', key: 1 });
    await own.sendCommand(contracts.command, { id: 2, name: 'Ann' }, { timeout: 30 });
    await until(() => taken.length === 2);
    expect(taken).toEqual(
      expect.arrayContaining([
        [{ id: 1, name: 'nobody' }, 'user.updated', 'user.updated'],
        [{ id: 2, name: 'Ann' }, true],
      ]),
    );
    await expect(own.call(contracts.call, { id: 3 }, { timeout: 10 })).resolves.toEqual({ id: 3, name: 'nobody!' });

    // Refused before anything is sent, in the schema's words.
    const wrong = { id: 0, name: 'x' };
    const options = { transaction: 'own' };
    for (const refused of [
      own.publishAggregateEvent(contracts.event, wrong, options),
      own.sendCommand(contracts.command, wrong),
      own.call(contracts.call, wrong, { timeout: 10 }),
      own.sendCall(contracts.call, wrong, options),
      eventOf(contracts.event, wrong),
    ]) {
      const failure = await refused.catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(ContractViolationError);
      expect((failure as ContractViolationError).issues).toEqual([expect.stringMatching(/^id: .*1/)]);
    }

    // What comes from others is held to it as well.
    const send = (routingKey: string, body: object) =>
      kit.channel.publish(name, routingKey, Buffer.from(JSON.stringify(body)), { messageId: `${name}-${routingKey}` });
    const envelope = { eventId: '1', eventTime: new Date().toISOString(), eventType: 'user.updated', aggregate: name };
    send('user.updated', { ...envelope, payload: { id: 'one' } });
    send('user.delete', { name: 5 });
    await until(() => consumer.stats.deadLettered.malformed === 2);
    const dead = [await kit.channel.get(`${name}.dead`), await kit.channel.get(`${name}.dead`)];
    const reasons = dead.map((message) => message && JSON.parse(message.properties.headers?.['svc-comm-failures'])[0]);
    expect(reasons.map(({ code }) => code)).toEqual(['SVC_COMM_MALFORMED_MESSAGE', 'SVC_COMM_MALFORMED_MESSAGE']);
    expect(reasons.map(({ message }) => message).join()).toMatch(/id: /);
    expect(taken).toHaveLength(2);

    // A call is answered with the schema's words; an answer against the contract is the callee's own error.
    const asked = await own.call(name, 'user.rename', wrong, { timeout: 10 }).catch((error: unknown) => error);
    expect(asked).toBeInstanceOf(RemoteError);
    expect(asked).toMatchObject({ remoteCode: 'SVC_COMM_MALFORMED_MESSAGE', message: expect.stringMatching(/id: /) });
    await expect(own.call(contracts.call, { id: 9 }, { timeout: 10 })).rejects.toMatchObject({
      remoteCode: 'SVC_COMM_CONTRACT_VIOLATION',
    });
  });
});

test('an answer of a callee that keeps no contract is refused by the caller who has one', async () => {
  const own = kit.service('loose');
  const name = own.settings.appId;
  own.messageRouter.consumer(name, 'price')(callConsumer(async () => 'a lot'));
  await own.consumer().start();
  const price = callable(name, 'price', { input: z.object({}), output: z.number() });
  await expect(own.call(price, {}, { timeout: 10 })).rejects.toThrow(/the answer to call .*: .*number/);
});

test('what is not there travels as null, and is what the schema takes it for', async () => {
  const own = kit.service('nothing');
  const name = own.settings.appId;
  const find = callable(name, 'find', {
    input: z.string().optional(),
    output: z.object({ id: z.string() }).optional(),
  });
  const clear = callable(name, 'clear', { input: z.void(), output: z.void() });
  const none = callable(name, 'none', { input: v.nullable(v.string()), output: v.nullable(v.string()) });
  const cleared = event(name, 'cleared', z.undefined());
  const taken: unknown[] = [];
  own.messageRouter.consumer(find)(async (id) => {
    taken.push(['find', id]);
    return id === undefined ? undefined : { id };
  });
  own.messageRouter.consumer(clear)(async (nothing) => void taken.push(['clear', nothing]));
  own.messageRouter.consumer(none)(async (nothing) => {
    taken.push(['none', nothing]);
    return nothing;
  });
  own.messageRouter.consumer(cleared)(async (nothing) => void taken.push(['cleared', nothing]));
  await Promise.all([own.consumer().start(), own.relay().start()]);

  const soon = { timeout: 10 };
  await expect(own.call(find, undefined, soon)).resolves.toBeUndefined();
  await expect(own.call(find, 'a', soon)).resolves.toEqual({ id: 'a' });
  await expect(own.call(clear, undefined, soon)).resolves.toBeUndefined();
  await expect(own.call(none, null, soon)).resolves.toBeNull();
  await own.publishAggregateEvent(cleared, undefined, { transaction: 'own' });
  await own.publishAggregateEvents([await eventOf(cleared, undefined)], { transaction: 'own' });
  await until(() => taken.length === 6);
  expect(taken).toEqual([
    ['find', undefined],
    ['find', 'a'],
    ['clear', undefined],
    ['none', null],
    ['cleared', undefined],
    ['cleared', undefined],
  ]);
  // What is no answer at all is still none.
  const wrong = callable(name, 'clear', { input: z.void(), output: z.string() });
  await expect(own.call(wrong, undefined, soon)).rejects.toBeInstanceOf(ContractViolationError);
});

test('a schema that takes its time is waited for, and one that parses gives the receiver what it made', async () => {
  const own = kit.service('async');
  const name = own.settings.appId;
  const schema = z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }).refine(async () => true);
  const taken: unknown[] = [];
  own.messageRouter.consumer(command(name, 'ring', schema))(async ({ at }) => {
    taken.push(at);
  });
  await own.consumer().start();
  await own.sendCommand(command(name, 'ring', schema), { at: '2026-01-02T03:04:05.000Z' });
  await until(() => taken.length === 1);
  expect(taken).toEqual([new Date('2026-01-02T03:04:05.000Z')]);
});

test('names without a contract go on working beside it', async () => {
  const plain = kit.exchangeName('plain');
  await expect(service.sendCommand(plain, { any: 'thing' })).rejects.toBeInstanceOf(UnroutableError);
  // Of what is committed a relay takes the row at once.
  const client = await kit.pg.connect();
  await client.query('BEGIN');
  await service.publishAggregateEvent({ aggregate: plain, eventType: 'a', payload: 1 }, { transaction: client });
  const { rowCount } = await client.query(`SELECT FROM ${kit.table('svc_comm_outbox')} WHERE exchange = $1`, [plain]);
  await client.query('ROLLBACK');
  client.release();
  expect(rowCount).toBe(1);
});

test('decorated methods take contracts, with the options of eventConsumer and its like', () => {
  const router = new MessageRouter();
  const updated = event('user', 'update.*', LIBRARIES.zod);
  class Users {
    @router.consumer(updated)
    @eventConsumer({ inbox: false })
    static onUser({ id }: { id: number }) {
      return id;
    }

    @router.consumer(callable('user', 'rename', { input: LIBRARIES.zod, output: z.string() }))
    rename({ name }: { name: string }) {
      return name;
    }
  }
  router.register(new Users());
  expect(
    router.routes.map(({ kind, level, exchange, pattern, options }) => [kind, level, exchange, pattern, options.inbox]),
  ).toEqual([
    ['event', 'pattern', 'user', 'update.*', false],
    ['call', 'key', 'user', 'rename', undefined],
  ]);
  expect(router.bindings()).toEqual([
    { exchange: 'user', pattern: 'update.*' },
    { exchange: 'user', pattern: 'rename' },
  ]);
});

test('what is wrong with a contract is said at once', async () => {
  expect(() => event('user', 'a', {} as never)).toThrow(/a Standard Schema/);
  expect(() => command('', 'a', LIBRARIES.zod)).toThrow(InvalidArgumentError);
  const pattern = event('user', 'update.*', LIBRARIES.zod);
  await expect(eventOf(pattern, { id: 1 })).rejects.toThrow(/patterns are for consuming/);
  const router = new MessageRouter();
  const ring = command('bell', 'ring', LIBRARIES.zod);
  expect(() => router.consumer(pattern)(commandConsumer(() => undefined) as never)).toThrow(InvalidConsumerError);
  expect(() => router.consumer(ring)(eventConsumer(() => undefined) as never)).toThrow(/is of kind command/);
  await expect(service.publishAggregateEvent(ring as never, {} as never)).rejects.toThrow(/one of kind event/);
});
