import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { eventOf } from '../../src/contract/typed.ts';
import { callable, command, event } from '../../src/message/contract.ts';
import { ContractRegistry, contractRegistry } from '../../src/message/contract-registry.ts';
import { callResponseConsumer } from '../../src/router/call-response-consumer.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { messageCatalogue } from '../../src/router/message-catalogue.ts';
import { MessageRouter } from '../../src/router/router.ts';

const nothing = () => undefined;
const onUser = async () => undefined;
/** The registry is the process's: of what these tests look at, only the exchanges of one. */
const catalogueOf = (exchange: string, router = new MessageRouter()) => {
  const { consumed, sent } = messageCatalogue(router);
  return { consumed, sent: sent.filter((message) => message.exchange === exchange) };
};
const namesOf = (messages: readonly { kind: string; exchange: string | undefined; routingKey: string }[]) =>
  messages.map(({ kind, exchange, routingKey }) => `${kind} ${exchange} ${routingKey}`);

describe('the catalogue of messages', () => {
  test('has what is consumed by a contract, with its schemas and the handler, and what the others are for', () => {
    const updated = event('users', 'update.base', z.object({ id: z.number() }), { description: 'A user was changed' });
    const rename = command(
      'users',
      'rename',
      z.object({ name: z.string().describe('The new one') }).describe('Renames'),
    );
    const find = callable('users', 'find', { input: z.string(), output: z.boolean(), description: 'Is there one?' });
    event('users', 'deleted', z.object({ id: z.number() }));
    const router = new MessageRouter();
    router.consumer(updated)(onUser);
    router.consumer(rename)(nothing);
    router.consumer(find)(() => true);
    const { consumed, sent } = catalogueOf('users', router);
    expect(consumed).toMatchObject([
      { kind: 'call', routingKey: 'find', schema: { type: 'string' }, output: { type: 'boolean' } },
      { kind: 'command', routingKey: 'rename', description: 'Renames', output: undefined },
      {
        kind: 'event',
        exchange: 'users',
        routingKey: 'update.base',
        description: 'A user was changed',
        handler: 'onUser',
        level: 'key',
        schema: { type: 'object', properties: { id: { type: 'number' } }, required: ['id'] },
      },
    ]);
    expect(sent).toMatchObject([{ kind: 'event', routingKey: 'deleted', isSeen: false, description: '' }]);
  });

  test('has consumers by names too, with the schema of a contract of just those names', () => {
    event('named', 'created', z.object({ id: z.string() }));
    event('named', 'matched.one', z.string());
    command('named', 'created.not', z.object({ id: z.string() }));
    const router = new MessageRouter();
    router.consumer('named', 'created')(eventConsumer(onUser));
    router.consumer('named', 'matched.*')(eventConsumer(nothing));
    router.consumer('named', 'call-response.a.b')(callResponseConsumer(nothing));
    router.consumer('audit')(onUser);
    router.consumer('sms', 'send')(commandConsumer(nothing));
    router.consumer()(nothing);
    const { consumed, sent } = catalogueOf('named', router);
    expect(namesOf(consumed)).toEqual([
      'raw audit #',
      'call-response named call-response.a.b',
      'event named created',
      'event named matched.*',
      'command sms send',
      'raw undefined #',
    ]);
    expect(consumed[2]).toMatchObject({ schema: { required: ['id'] } });
    expect(consumed[3]).toMatchObject({ schema: undefined, description: '' });
    // What a pattern takes is not given, a command of an exchange of which only events are taken is.
    expect(namesOf(sent)).toEqual(['command named created.not']);
  });

  test('says that a message is given when it was seen to be sent, also where it is taken as well', async () => {
    const own = event('echo', 'made', z.number());
    const router = new MessageRouter();
    router.consumer(own)(nothing);
    router.consumer()(nothing);
    expect(catalogueOf('echo', router).sent).toEqual([]);
    await expect(eventOf(own, 'no number' as never)).rejects.toThrow();
    expect(catalogueOf('echo', router).sent).toEqual([]);
    await eventOf(own, 1);
    expect(catalogueOf('echo', router).sent).toMatchObject([{ routingKey: 'made', isSeen: true }]);
  });

  test('leaves out, of what is given, contracts that only a consumer can have', () => {
    event('patterns', 'a.#', z.number());
    expect(catalogueOf('patterns').sent).toEqual([]);
  });

  test('has a contract that is made later without another line, and of the same names the latest only', () => {
    const router = new MessageRouter();
    expect(catalogueOf('late', router).sent).toEqual([]);
    event('late', 'made', z.number());
    event('late', 'made', z.string());
    expect(catalogueOf('late', router).sent).toMatchObject([{ schema: { type: 'string' } }]);
  });

  test('has the schema of what travels: before defaults and transforms', () => {
    const schema = z.object({ name: z.string().default('nobody'), at: z.string().transform((text) => new Date(text)) });
    event('travel', 'made', schema);
    expect(catalogueOf('travel').sent[0]?.schema).toMatchObject({
      properties: { name: { type: 'string', default: 'nobody' }, at: { type: 'string' } },
      required: ['at'],
    });
  });

  test('asks each library that tells, takes what is given by hand of one that does not, and goes on without', () => {
    event('libraries', 'arktype', type({ id: 'number' }));
    event('libraries', 'valibot', v.object({ id: v.number() }));
    event('libraries', 'valibot.said', v.object({ id: v.number() }), { jsonSchema: { type: 'object' } });
    callable('libraries', 'valibot.call', {
      input: v.string(),
      output: v.string(),
      jsonSchema: { type: 'string' },
      outputJsonSchema: { minLength: 1 },
    });
    event('libraries', 'zod.class', z.object({ at: z.instanceof(Map) }));
    const { sent } = catalogueOf('libraries');
    expect(Object.fromEntries(sent.map(({ routingKey, schema }) => [routingKey, schema]))).toMatchObject({
      arktype: { type: 'object', required: ['id'] },
      valibot: undefined,
      'valibot.said': { type: 'object' },
      'valibot.call': { type: 'string' },
      'zod.class': undefined,
    });
    expect(sent.find(({ kind }) => kind === 'call')?.output).toEqual({ minLength: 1 });
  });

  test('has no schema by hand that cannot be written: it is refused where the contract is made', () => {
    const circle: { properties?: object } = {};
    circle.properties = { self: circle };
    const isRefused = expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT' });
    for (const jsonSchema of [circle, { const: 1n }]) {
      expect(() => event('refused', 'a', z.unknown(), { jsonSchema })).toThrow(isRefused);
      expect(() => command('refused', 'a', z.unknown(), { jsonSchema })).toThrow(isRefused);
      const schemas = { input: z.unknown(), output: z.unknown(), outputJsonSchema: jsonSchema };
      expect(() => callable('refused', 'a', schemas)).toThrow(isRefused);
    }
    expect(() => callable('refused', 'a', JSON.parse('null'))).toThrow(isRefused);
    expect(catalogueOf('refused').sent).toEqual([]);
  });

  test('has no command whose schema tells that it takes no object, or one with a meta: its arguments could not travel', () => {
    const isRefused = expect.objectContaining({ code: 'SVC_COMM_INVALID_ARGUMENT' });
    const text = { type: 'string' };
    for (const schema of [
      z.string(),
      z.array(z.string()),
      z.null(),
      z.literal('now'),
      z.enum(['on', 'off']),
      z.union([z.string(), z.number()]),
      z.object({ meta: z.string().optional() }),
      type('string[]'),
    ]) {
      expect(() => command('texts', 'a', schema as never)).toThrow(isRefused);
    }
    expect(() => command('texts', 'a', v.string() as never, { jsonSchema: text })).toThrow(isRefused);
    expect(() => command('texts', 'a', v.looseObject({}), { jsonSchema: { type: ['null', 'string'] } })).toThrow(
      /^command schema: expected a schema of an object.*, got one of type null or string$/,
    );
    expect(catalogueOf('texts').sent).toEqual([]);
    for (const schema of [z.any(), z.record(z.string(), z.number()), z.looseObject({}), type('object'), v.object({})]) {
      command('objects', 'a', schema);
    }
    command('objects', 'a', z.union([z.object({ id: z.string() }), z.object({ name: z.string() })]));
    command('objects', 'b', z.unknown(), { jsonSchema: { anyOf: [text, { $ref: '#/$defs/user' }] } });
    expect(namesOf(catalogueOf('objects').sent)).toEqual(['command objects a', 'command objects b']);
  });

  test('tells its schemas for the document that asks: AsyncAPI has draft 07', () => {
    event('drafts', 'made', z.tuple([z.string(), z.number()]));
    const schemaFor = (target: 'draft-07' | 'draft-2020-12') =>
      messageCatalogue(new MessageRouter(), { target }).sent.find(({ exchange }) => exchange === 'drafts')?.schema;
    expect(schemaFor('draft-07')).toHaveProperty('items');
    expect(schemaFor('draft-2020-12')).toHaveProperty('prefixItems');
  });
});

describe('the registry of contracts', () => {
  test('is one for all copies of the package in a process', () => {
    expect((globalThis as Record<symbol, unknown>)[Symbol.for('svc-comm.contracts')]).toBe(contractRegistry);
  });

  test('does not grow without end when names are made of data', () => {
    const registry = new ContractRegistry();
    const contract = event('flood', 'one', z.string());
    for (let n = 0; n < 10_100; n += 1) registry.add({ ...contract, routingKey: `n${n}` });
    expect(registry.all).toHaveLength(10_000);
    expect(registry.find({ ...contract, routingKey: 'n99' })).toBeUndefined();
    expect(registry.find({ ...contract, routingKey: 'n10099' })).toBeDefined();
  });
});
