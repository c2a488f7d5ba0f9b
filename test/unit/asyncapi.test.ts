import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { asyncApiDocument } from '../../src/documentation/asyncapi.ts';
import { callable, command, event } from '../../src/message/contract.ts';
import { ContractRegistry } from '../../src/message/contract-registry.ts';
import type { ExchangeType } from '../../src/message/topology.ts';
import { callResponseConsumer } from '../../src/router/call-response-consumer.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { messageCatalogue } from '../../src/router/message-catalogue.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { encodeCommand } from '../../src/wire/command.ts';
import { encodeEvent } from '../../src/wire/event.ts';

const require = createRequire(import.meta.url);
const schema = JSON.parse(readFileSync(require.resolve('@asyncapi/specs/schemas/3.0.0.json'), 'utf8'));
const options = { strict: false, validateFormats: false, allErrors: true };
const ajv = new Ajv(options);
// It brings draft 07 along, which ajv would know already.
const isAsyncApi = new Ajv({ ...options, meta: false, validateSchema: false }).compile(schema);

/** What the official schema has against it. */
const problemsOf = (document: unknown) => (isAsyncApi(document) ? [] : (isAsyncApi.errors ?? []));

interface Channel {
  readonly address: string | null;
  readonly title: string;
  readonly bindings: { readonly amqp: { readonly exchange: { readonly vhost: string; readonly type: string } } };
}

interface Document {
  readonly channels: Readonly<Record<string, Channel>>;
  readonly operations: Readonly<Record<string, { readonly action: string; readonly reply?: object }>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, object>>;
    readonly messages: Readonly<Record<string, object>>;
  };
}

const nothing = () => undefined;
const user = z.object({ id: z.number(), name: z.string().describe('Their own') });
const tree: z.ZodType = z.lazy(() => z.object({ name: z.string(), children: z.array(tree) }));

function document(
  register: (router: MessageRouter, contracts: ContractRegistry) => void = nothing,
  brokerUrls: string[] = [],
  exchangeTypes: Readonly<Record<string, ExchangeType>> = {},
) {
  const router = new MessageRouter();
  const contracts = new ContractRegistry();
  register(router, contracts);
  const catalogue = messageCatalogue(router, { contracts, target: 'draft-07' });
  return asyncApiDocument(catalogue, { title: 'orders', version: '1.2.3', brokerUrls, exchangeTypes }) as Document;
}

const everything = () =>
  document((router, contracts) => {
    router.consumer(event('user', 'update.base', user))(nothing);
    router.consumer(command('sms', 'send', user, { description: 'Sends a text' }))(nothing);
    router.consumer(callable('pricing', 'quote', { input: z.string(), output: z.number() }))(() => 1);
    router.consumer('user', 'deleted.#')(nothing);
    router.consumer('orders', 'call-response.stock.left')(callResponseConsumer(nothing));
    router.consumer('mail', '')(commandConsumer(nothing));
    router.consumer('audit')(nothing);
    router.consumer()(nothing);
    contracts.add(event('order', 'created', z.object({ tree })));
    contracts.add(command('mail', 'send now!', z.object({ pair: z.tuple([z.string(), z.number()]) })));
    contracts.add(command('mail', 'send now?', tree));
    contracts.add(callable('stock', 'left', { input: tree, output: tree }));
    contracts.add(event('order', 'unsaid', z.object({ at: z.instanceof(Map) })));
  });

describe('the AsyncAPI document', () => {
  test('is valid by the official schema, with everything there is and with nothing', () => {
    expect(problemsOf(document())).toEqual([]);
    expect(problemsOf(everything())).toEqual([]);
    expect(problemsOf({ ...everything(), channels: 'none' })).not.toEqual([]);
    expect(problemsOf({ asyncapi: '3.0.0' })).not.toEqual([]);
  });

  test('has a channel for each message, an operation for whoever takes or gives it, and answers of calls', () => {
    const { channels, operations } = everything();
    expect(Object.values(channels).map(({ title, address }) => [title, address])).toEqual(
      expect.arrayContaining([
        ['user update.base', 'update.base'],
        ['user deleted.#', 'deleted.#'],
        ['mail', ''],
        ['audit #', '#'],
        ['Answer of pricing quote', null],
      ]),
    );
    const actionsOf = (action: string) => Object.keys(operations).filter((id) => operations[id]?.action === action);
    expect(actionsOf('send')).toEqual([
      'send.command.mail.send_now_',
      'send.command.mail.send_now_-2',
      'send.event.order.created',
      'send.event.order.unsaid',
      'send.call.stock.left',
    ]);
    expect(actionsOf('receive')).toHaveLength(7);
    expect(operations['receive.call.pricing.quote']?.reply).toBeDefined();
    expect(operations['receive.command.sms.send']).toMatchObject({ description: 'Sends a text' });
  });

  test('has bodies as they travel: what we write is what its schemas say', () => {
    const { components } = everything();
    const check = (name: string, body: string) => {
      const compiled = ajv.compile({ ...components.schemas[name], components });
      return compiled(JSON.parse(body)) ? [] : compiled.errors;
    };
    const info = {
      eventId: '01890a5d-ac96-774b-bcce-b302099a8057',
      eventTime: new Date(),
      aggregate: 'user',
      eventType: 'update.base',
    };
    expect(check('event.user.update.base', encodeEvent({ ...info, payload: { id: 1, name: 'Ann' } }))).toEqual([]);
    expect(check('event.user.update.base', encodeEvent({ ...info, payload: { id: 'x' } }))).not.toEqual([]);
    const leaf = { name: 'leaf', children: [] };
    const grown = { tree: { name: 'root', children: [leaf] } };
    expect(check('event.order.created', encodeEvent({ ...info, payload: grown }))).toEqual([]);
    const wrong = { tree: { name: 'root', children: [{ ...leaf, children: [1] }] } };
    expect(check('event.order.created', encodeEvent({ ...info, payload: wrong }))).not.toEqual([]);
    const sent = encodeCommand({ arguments: { id: 1, name: 'Ann' }, deadline: new Date() });
    expect(check('command.sms.send', sent)).toEqual([]);
    expect(check('command.sms.send', encodeCommand({ arguments: { id: 1 }, deadline: undefined }))).not.toEqual([]);
  });

  test('takes a call without meta.replyTo, which the property reply_to stands for, and none without a time', () => {
    const { components } = everything();
    const isCall = ajv.compile({ ...components.schemas['call.pricing.quote'], components });
    const call = { id: '01890a5d-ac96-774b-bcce-b302099a8057', meta: { time: '2026-01-01T00:00:00Z' }, data: 'a' };
    expect([isCall(call), isCall.errors]).toEqual([true, null]);
    expect(isCall({ ...call, meta: {} })).toBe(false);
  });

  test('has examples that its schemas take', () => {
    const { components } = everything();
    let seen = 0;
    for (const [name, message] of Object.entries(components.messages)) {
      const { examples } = message as { examples?: [{ payload: unknown }] };
      if (!examples) continue;
      seen += 1;
      const compiled = ajv.compile({ ...components.schemas[name], components });
      expect([name, compiled(examples[0].payload), compiled.errors]).toEqual([name, true, null]);
    }
    expect(seen).toBeGreaterThan(8);
  });

  test('takes whatever names the parts of a schema have', () => {
    for (const id of ['50% off', 'a%2Fb', 'a/b~c', 'ä #']) {
      const price = z.object({ price: z.literal(7) }).meta({ id });
      const { components } = document((_, contracts) =>
        contracts.add(event('order', 'priced', z.object({ old: price, now: price }))),
      );
      expect(components.messages['event.order.priced']).toMatchObject({
        examples: [{ payload: { payload: { old: { price: 7 }, now: { price: 7 } } } }],
      });
    }
    const broken = event('order', 'odd', z.unknown(), { jsonSchema: { $ref: '#/%' } });
    expect(document((_, contracts) => contracts.add(broken)).components.messages).toHaveProperty(['event.order.odd']);
  });

  test('names the brokers, and nothing that is secret in their URLs', () => {
    const text = JSON.stringify(
      document(nothing, ['amqp://me:c4n4ry@one.example:5671/v', 'amqps://two.example', 'embedded:']),
    );
    expect(text).not.toMatch(/c4n4ry|me:/);
    expect(JSON.parse(text).servers).toEqual({
      broker1: { host: 'one.example:5671', protocol: 'amqp', protocolVersion: '0.9.1', pathname: '/v' },
      broker2: { host: 'two.example', protocol: 'amqps', protocolVersion: '0.9.1' },
    });
    expect(problemsOf(JSON.parse(text))).toEqual([]);
    expect(document(nothing, ['embedded:'])).not.toHaveProperty('servers');
  });

  test('says of each exchange the type that it has from the start or by the settings, topic of the others, and valid ones', () => {
    const names = ['', 'amq.fanout', 'amq.match', 'audit', 'constructor', 'jobs', 'user'];
    const register = (router: MessageRouter) => {
      for (const name of names) router.consumer(name, 'a')(nothing);
    };
    const whole = document(register, [], { audit: 'fanout', jobs: 'direct' });
    const types = Object.values(whole.channels).map(({ bindings }) => bindings.amqp.exchange.type);
    expect(types).toEqual(['default', 'fanout', 'headers', 'fanout', 'topic', 'direct', 'topic']);
    expect(problemsOf(whole)).toEqual([]);
  });

  test('says in which virtual host the exchanges are', () => {
    const vhostsOf = (...brokerUrls: string[]) => {
      const whole = document((router) => router.consumer('user', 'update.base')(nothing), brokerUrls);
      expect(problemsOf(whole)).toEqual([]);
      return Object.values(whole.channels).map(({ bindings }) => bindings.amqp.exchange.vhost);
    };
    expect(vhostsOf('amqp://one.example/sales', 'amqp://two.example/sales')).toEqual(['sales']);
    expect(vhostsOf('amqps://one.example/a%2Fb%20c')).toEqual(['a/b c']);
    for (const url of ['amqp://one.example', 'amqp://one.example/', 'amqp://one.example/%2F', 'embedded:']) {
      expect(vhostsOf(url)).toEqual(['/']);
    }
    expect(vhostsOf()).toEqual(['/']);
  });
});
