import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { AmqpLab } from '../support/amqp-lab.ts';
import { hasServers, testBrokerUrl } from '../support/servers.ts';

const embedded = new EmbeddedBroker();
const folder = mkdtempSync(join(tmpdir(), 'svc-comm-broker-'));
const kept = new EmbeddedBroker({ stateFile: join(folder, 'state') });
beforeAll(() => Promise.all([embedded.start(), kept.start()]));
afterAll(async () => {
  await Promise.all([embedded.stop(), kept.stop()]);
  rmSync(folder, { recursive: true });
});

describe.each([
  ...(hasServers ? [{ broker: 'RabbitMQ', url: () => testBrokerUrl() }] : []),
  { broker: 'the embedded broker', url: () => embedded.url },
  { broker: 'the embedded broker with a state file', url: () => kept.url },
])('$broker', ({ url }) => {
  let lab: AmqpLab;
  beforeEach(() => {
    lab = new AmqpLab(url());
  });
  afterEach(() => lab.close());

  const textOf = (message: { readonly content: Buffer } | false) => (message ? message.content.toString() : undefined);

  describe('routing', () => {
    it('a topic exchange takes * for one word and # for any number of words', async () => {
      const channel = await lab.channel();
      const [exchange, queue] = [lab.name('topic'), await lab.queue('q')];
      await channel.assertExchange(exchange, 'topic', { durable: false });
      await channel.bindQueue(queue, exchange, 'a.*.c.#');
      const inbox = await lab.consume(channel, queue);
      for (const key of ['a.x.c', 'a.c', 'a.x.y.c', 'b.x.c', 'a.y.c.d.e']) {
        channel.publish(exchange, key, Buffer.from(key));
      }
      await inbox.until(2);
      await channel.waitForConfirms();
      expect(inbox.texts).toEqual(['a.x.c', 'a.y.c.d.e']);
    });

    it('the empty key of a topic has no words: # takes it, * does not', async () => {
      const channel = await lab.channel();
      const [exchange, any, one] = [lab.name('topic'), await lab.queue('any'), await lab.queue('one')];
      await channel.assertExchange(exchange, 'topic', { durable: false });
      await channel.bindQueue(any, exchange, '#');
      for (const pattern of ['*', '#.*']) await channel.bindQueue(one, exchange, pattern);
      channel.publish(exchange, '', Buffer.from('x'));
      await channel.waitForConfirms();
      const counts = [await channel.checkQueue(any), await channel.checkQueue(one)];
      expect(counts.map(({ messageCount }) => messageCount)).toEqual([1, 0]);
    });

    it('a headers exchange takes numbers for equal by value, whatever their types', async () => {
      const channel = await lab.channel();
      const [exchange, queue] = [lab.name('headers'), await lab.queue('q')];
      await channel.assertExchange(exchange, 'headers', { durable: false });
      await channel.bindQueue(queue, exchange, '', { n: 1 });
      const same = [1, { '!': 'double', value: 1 }, { '!': 'int64', value: 1 }, { '!': 'timestamp', value: 1 }];
      for (const n of [...same, '1', true, { '!': 'double', value: 1.5 }]) {
        channel.publish(exchange, '', Buffer.from(JSON.stringify(n)), { headers: { n } });
      }
      await channel.waitForConfirms();
      expect((await channel.checkQueue(queue)).messageCount).toBe(same.length);
    });

    it('a headers exchange compares values, and asks only for presence where the binding has none', async () => {
      const channel = await lab.channel();
      const [exchange, queue] = [lab.name('headers'), await lab.queue('q')];
      await channel.assertExchange(exchange, 'headers', { durable: false });
      await channel.bindQueue(queue, exchange, '', { 'x-match': 'any', kind: 'paid', urgent: null });
      const inbox = await lab.consume(channel, queue);
      for (const headers of [{ kind: 'paid' }, { kind: 'open' }, { urgent: 'yes' }, {}]) {
        channel.publish(exchange, '', Buffer.from(JSON.stringify(headers)), { headers });
      }
      await inbox.until(2);
      await channel.waitForConfirms();
      expect(inbox.texts).toEqual(['{"kind":"paid"}', '{"urgent":"yes"}']);
    });

    it('a message reaches a queue once, however many bindings lead there, also over another exchange', async () => {
      const channel = await lab.channel();
      const [first, second, queue] = [lab.name('e1'), lab.name('e2'), await lab.queue('q')];
      await channel.assertExchange(first, 'topic', { durable: false });
      await channel.assertExchange(second, 'fanout', { durable: false });
      await channel.bindExchange(second, first, 'x.#');
      await channel.bindExchange(first, second, '#');
      await channel.bindQueue(queue, second, '');
      await channel.bindQueue(queue, first, 'x.y');
      await channel.bindQueue(queue, first, '#');
      channel.publish(first, 'x.y', Buffer.from('once'));
      await channel.waitForConfirms();
      expect((await channel.checkQueue(queue)).messageCount).toBe(1);
    });

    it('what no binding takes goes to the alternate exchange', async () => {
      const channel = await lab.channel();
      const [main, rest, queue] = [lab.name('main'), lab.name('rest'), await lab.queue('q')];
      await channel.assertExchange(rest, 'fanout', { durable: false });
      await channel.assertExchange(main, 'direct', { durable: false, alternateExchange: rest });
      await channel.bindQueue(queue, rest, '');
      channel.publish(main, 'nowhere', Buffer.from('kept'));
      await channel.waitForConfirms();
      expect(textOf(await channel.get(queue, { noAck: true }))).toBe('kept');
    });

    it('CC and BCC are routed as well, and BCC is taken off', async () => {
      const channel = await lab.channel();
      const [to, copy, blind] = [await lab.queue('to'), await lab.queue('cc'), await lab.queue('bcc')];
      await lab.send(channel, to, 'x', { CC: [copy], BCC: [blind] });
      for (const queue of [to, copy, blind]) {
        const message = await channel.get(queue, { noAck: true });
        if (!message) throw new Error(`${queue} is empty`);
        expect(message.properties.headers).toEqual({ CC: [copy] });
        expect(message.fields.routingKey).toBe(to);
      }
    });

    it('a mandatory message that reaches no queue is returned before it is confirmed', async () => {
      const channel = await lab.channel();
      const order: string[] = [];
      channel.on('return', (message) => order.push(`returned ${message.properties.messageId}`));
      await lab
        .send(channel, lab.name('nowhere'), 'x', { mandatory: true, messageId: 'm1' })
        .then(() => order.push('confirmed'));
      expect(order).toEqual(['returned m1', 'confirmed']);
    });
  });

  describe('delivery', () => {
    it('prefetch limits what is unacked, and an ack with multiple frees all up to it', async () => {
      const channel = await lab.channel();
      const queue = await lab.queue('q');
      for (let i = 0; i < 6; i++) await lab.send(channel, queue, String(i));
      await channel.prefetch(2);
      const inbox = await lab.consume(channel, queue, {}, () => undefined);
      const [, second] = await inbox.until(2);
      expect((await channel.checkQueue(queue)).messageCount).toBe(4);
      if (second) channel.ack(second, true);
      await inbox.until(4);
      expect(inbox.texts).toEqual(['0', '1', '2', '3']);
    });

    it('two consumers take turns', async () => {
      const [a, b, queue] = [await lab.channel(), await lab.channel(), await lab.queue('q')];
      const [first, second] = [await lab.consume(a, queue), await lab.consume(b, queue)];
      for (let i = 0; i < 6; i++) await lab.send(a, queue, String(i));
      await Promise.all([first.until(3), second.until(3)]);
      expect([first.texts.length, second.texts.length]).toEqual([3, 3]);
    });

    it('a consumer of higher priority gets all it has room for', async () => {
      const [a, b, queue] = [await lab.channel(), await lab.channel(), await lab.queue('q')];
      await b.prefetch(2);
      const low = await lab.consume(a, queue);
      const high = await lab.consume(b, queue, { priority: 10 }, () => undefined);
      for (let i = 0; i < 4; i++) await lab.send(a, queue, String(i));
      await Promise.all([low.until(2), high.until(2)]);
      expect([high.texts, low.texts]).toEqual([
        ['0', '1'],
        ['2', '3'],
      ]);
    });

    it('consumers that share a prefetch take turns, those of one queue and those of several', async () => {
      const channel = await lab.channel();
      const [first, second] = [await lab.queue('q1'), await lab.queue('q2')];
      for (const queue of [first, second]) {
        for (let i = 0; i < 6; i++) await lab.send(channel, queue, String(i));
      }
      await channel.prefetch(1, true);
      const inboxes = [];
      for (const queue of [first, first, second]) inboxes.push(await lab.consume(channel, queue));
      // All get something although each ack could be answered by the same consumer for a long time.
      await Promise.all(inboxes.map((inbox) => inbox.until(2)));
      expect(inboxes[2]?.texts.length).toBeLessThanOrEqual(6);
    });

    it('with a single active consumer the highest priority follows, and does not push out the active one', async () => {
      const [a, b, c] = [await lab.channel(), await lab.channel(), await lab.channel()];
      const queue = await lab.queue('q', { arguments: { 'x-single-active-consumer': true } });
      const [first, low] = [await lab.consume(a, queue), await lab.consume(b, queue)];
      const high = await lab.consume(c, queue, { priority: 5 });
      await lab.send(a, queue, '1');
      await first.until(1);
      await a.cancel(first.tag);
      await lab.send(a, queue, '2');
      await high.until(1);
      expect([first.texts, low.texts, high.texts]).toEqual([['1'], [], ['2']]);
    });

    it('with a single active consumer the next takes over when the first is cancelled', async () => {
      const [a, b] = [await lab.channel(), await lab.channel()];
      const queue = await lab.queue('q', { arguments: { 'x-single-active-consumer': true } });
      const [first, second] = [await lab.consume(a, queue), await lab.consume(b, queue)];
      await lab.send(a, queue, '1');
      await lab.send(a, queue, '2');
      await first.until(2);
      expect(second.texts).toEqual([]);
      await a.cancel(first.tag);
      await lab.send(a, queue, '3');
      await second.until(1);
      expect(second.texts).toEqual(['3']);
    });

    it('what is given back returns to its place, marked as redelivered', async () => {
      const channel = await lab.channel();
      const queue = await lab.queue('q');
      for (let i = 1; i <= 4; i++) await lab.send(channel, queue, String(i));
      const got = [await channel.get(queue), await channel.get(queue), await channel.get(queue)];
      for (const at of [2, 0]) {
        const message = got[at];
        if (message) channel.nack(message, false, true);
      }
      const after = [];
      for (let i = 0; i < 3; i++) {
        const message = await channel.get(queue);
        if (message) after.push(`${message.content} ${message.fields.redelivered}`);
      }
      expect(after).toEqual(['1 true', '3 true', '4 false']);
    });

    it('a lost connection gives back what it had not acked, in order', async () => {
      const [gone, stays] = [await lab.connection(), await lab.channel()];
      const queue = await lab.queue('q');
      for (let i = 0; i < 5; i++) await lab.send(stays, queue, String(i));
      const first = await lab.consume(await lab.channel(gone), queue, {}, () => undefined);
      await first.until(5);
      await gone.close();
      const second = await lab.consume(stays, queue);
      const messages = await second.until(5);
      expect(second.texts).toEqual(['0', '1', '2', '3', '4']);
      expect(messages.every(({ fields }) => fields.redelivered)).toBe(true);
    });

    it('a priority queue delivers the highest first, in order within one', async () => {
      const channel = await lab.channel();
      const queue = await lab.queue('q', { maxPriority: 5 });
      const sent: [string, number][] = [
        ['low', 1],
        ['high', 5],
        ['over', 9],
        ['none', 0],
      ];
      for (const [text, priority] of sent) await lab.send(channel, queue, text, { priority });
      const inbox = await lab.consume(channel, queue);
      await inbox.until(4);
      expect(inbox.texts).toEqual(['high', 'over', 'low', 'none']);
    });

    it('every property and header, and a body of a mebibyte, arrive as they were sent', async () => {
      const channel = await lab.channel();
      const queue = await lab.queue('q');
      const body = Buffer.alloc(1 << 20, 'abc');
      const sent = {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        headers: { text: 'ä', list: [1, true, null, { deep: 1.5 }], big: 2 ** 40, raw: Buffer.from([1, 2]) },
        deliveryMode: 2,
        priority: 3,
        correlationId: 'c',
        replyTo: 'r',
        expiration: '60000',
        messageId: 'm',
        timestamp: 1_700_000_000,
        type: 't',
        appId: 'a',
      } as const;
      channel.sendToQueue(queue, body, sent);
      await channel.waitForConfirms();
      const message = await channel.get(queue, { noAck: true });
      if (!message) throw new Error('no message');
      expect(message.content.equals(body)).toBe(true);
      expect(message.properties).toMatchObject(sent);
    });

    it('the consumer is told when its queue is deleted', async () => {
      const [a, b, queue] = [await lab.channel(), await lab.channel(), await lab.queue('q')];
      const inbox = await lab.consume(a, queue);
      await b.deleteQueue(queue);
      await inbox.cancelled;
    });

    it('a direct reply finds the channel that asked, without a queue', async () => {
      const [asks, answers, queue] = [await lab.channel(), await lab.channel(), await lab.queue('rpc')];
      await lab.consume(answers, queue, { noAck: true }, ({ properties }) => {
        answers.sendToQueue(properties.replyTo, Buffer.from('pong'), { correlationId: properties.correlationId });
      });
      const replies = await lab.consume(asks, 'amq.rabbitmq.reply-to', { noAck: true });
      asks.sendToQueue(queue, Buffer.from('ping'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: 'c1' });
      const [reply] = await replies.until(1);
      expect([reply?.content.toString(), reply?.properties.correlationId]).toEqual(['pong', 'c1']);
      expect(reply?.fields.routingKey).toMatch(/^amq\.rabbitmq\.reply-to\.[\w+/=]+\.[\w+/]+==$/);
    });
  });

  describe('dead letters', () => {
    it('rejected, expired and overflowing messages carry why, where and how often', async () => {
      const channel = await lab.channel();
      const dead = await lab.queue('dead');
      const toDead = { deadLetterExchange: '', deadLetterRoutingKey: dead };
      const inbox = await lab.consume(channel, dead);
      const source = await lab.queue('rejected', toDead);
      await lab.send(channel, source, 'rejected');
      const message = await channel.get(source);
      if (message) channel.nack(message, false, false);
      await lab.send(channel, await lab.queue('expired', { ...toDead, messageTtl: 20 }), 'expired');
      const short = await lab.queue('maxlen', { ...toDead, maxLength: 1 });
      await lab.send(channel, short, 'maxlen');
      await lab.send(channel, short, 'stays');
      for (const { content, properties } of await inbox.until(3)) {
        const reason = content.toString();
        expect(properties.headers?.['x-first-death-reason']).toBe(reason);
        expect(properties.headers?.['x-death']).toMatchObject([{ reason, count: 1, exchange: '' }]);
      }
      expect(inbox.texts.toSorted()).toEqual(['expired', 'maxlen', 'rejected']);
    });

    it('deaths that old brokers listed one by one are counted as one entry', async () => {
      const channel = await lab.channel();
      const dead = await lab.queue('dead');
      const source = await lab.queue('source', { deadLetterExchange: '', deadLetterRoutingKey: dead });
      const here = { queue: source, reason: 'rejected' };
      const elsewhere = { queue: 'elsewhere', reason: 'expired' };
      const headers = { 'x-death': [here, elsewhere, here, elsewhere, elsewhere] };
      await lab.send(channel, source, 'x', { headers });
      const message = await channel.get(source);
      if (message) channel.nack(message, false, false);
      const [got] = await (await lab.consume(channel, dead)).until(1);
      expect(got?.properties.headers?.['x-death']).toMatchObject([
        { ...here, count: 3 },
        { ...elsewhere, count: 3 },
      ]);
      expect(got?.properties.headers).not.toHaveProperty('x-first-death-queue');
    });

    it('a retry loop over a waiting queue counts each round', async () => {
      const channel = await lab.channel();
      const [work, wait] = [lab.name('work'), lab.name('wait')];
      const back = { durable: false, deadLetterExchange: '' };
      await channel.assertQueue(work, { ...back, deadLetterRoutingKey: wait });
      await channel.assertQueue(wait, { ...back, deadLetterRoutingKey: work, messageTtl: 20 });
      const inbox = await lab.consume(channel, work, {}, (message) => channel.nack(message, false, false));
      await lab.send(channel, work, 'x');
      const rounds = await inbox.until(3);
      const deaths = rounds[2]?.properties.headers?.['x-death'] as { queue: string; reason: string; count: number }[];
      expect(deaths.map(({ queue, reason, count }) => [queue, reason, count])).toEqual([
        [wait, 'expired', 2],
        [work, 'rejected', 2],
      ]);
    });

    it('a cycle that nobody rejects in ends by dropping the message', async () => {
      const channel = await lab.channel();
      const [loop, other] = [lab.name('loop'), await lab.queue('other')];
      await channel.assertQueue(loop, {
        durable: false,
        deadLetterExchange: '',
        deadLetterRoutingKey: loop,
        messageTtl: 20,
      });
      await lab.send(channel, loop, 'x');
      // A message that expires later than the first shows that the first has had its time.
      const after = await lab.queue('after', { messageTtl: 100, deadLetterExchange: '', deadLetterRoutingKey: other });
      await lab.send(channel, after, 'later');
      await (await lab.consume(channel, other)).until(1);
      expect((await channel.checkQueue(loop)).messageCount).toBe(0);
    });

    it('only the head of a queue expires: a shorter time behind a longer one waits', async () => {
      const channel = await lab.channel();
      const [queue, clock, out] = [await lab.queue('q'), lab.name('clock'), await lab.queue('out')];
      await channel.assertQueue(clock, {
        durable: false,
        messageTtl: 100,
        deadLetterExchange: '',
        deadLetterRoutingKey: out,
      });
      await lab.send(channel, queue, 'long', { expiration: '60000' });
      await lab.send(channel, queue, 'short', { expiration: '20' });
      await lab.send(channel, clock, 'tick');
      await (await lab.consume(channel, out)).until(1);
      expect((await channel.checkQueue(queue)).messageCount).toBe(2);
      expect(textOf(await channel.get(queue, { noAck: true }))).toBe('long');
      expect(await channel.get(queue, { noAck: true })).toBe(false);
    });

    it('a quorum queue counts returns and gives up past its delivery limit', async () => {
      const channel = await lab.channel();
      const dead = await lab.queue('dead');
      const queue = await lab.queue('quorum', {
        durable: true,
        deadLetterExchange: '',
        deadLetterRoutingKey: dead,
        arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 },
      });
      const counts: unknown[] = [];
      await lab.consume(channel, queue, {}, (message) => {
        counts.push(message.properties.headers?.['x-delivery-count']);
        channel.nack(message, false, true);
      });
      await lab.send(channel, queue, 'x');
      const [message] = await (await lab.consume(channel, dead)).until(1);
      expect(counts).toEqual([undefined, 1, 2]);
      expect(message?.properties.headers?.['x-first-death-reason']).toBe('delivery_limit');
    });
  });

  describe('limits and lifetimes', () => {
    it('reject-publish refuses a message by a negative confirm when the queue is full', async () => {
      const channel = await lab.channel();
      const queue = await lab.queue('q', { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } });
      await lab.send(channel, queue, 'fits');
      await expect(lab.send(channel, queue, 'too much')).rejects.toThrow();
      expect(textOf(await channel.get(queue, { noAck: true }))).toBe('fits');
    });

    it('an auto-delete queue goes with its last consumer, an exclusive one with its connection', async () => {
      const [owner, other] = [await lab.connection(), await lab.channel()];
      const channel = await lab.channel(owner);
      const [auto, own] = [lab.name('auto'), lab.name('own')];
      await channel.assertQueue(auto, { durable: false, autoDelete: true });
      await channel.assertQueue(own, { durable: false, exclusive: true });
      const inbox = await lab.consume(channel, auto);
      await channel.cancel(inbox.tag);
      await owner.close();
      expect((await lab.refusal(other, () => other.checkQueue(auto))).code).toBe(404);
      const again = await lab.channel();
      expect((await lab.refusal(again, () => again.checkQueue(own))).code).toBe(404);
    });

    it('purge and delete say how many messages went', async () => {
      const channel = await lab.channel();
      const queue = await lab.queue('q');
      await lab.send(channel, queue, '1');
      await lab.send(channel, queue, '2');
      expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 2 });
      await lab.send(channel, queue, '3');
      expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 1 });
    });
  });

  describe('refusals', () => {
    it.each([
      ['a queue that is not there', 404, /no queue '\S+' in vhost '\/'/, (c, name) => c.checkQueue(name('x'))],
      [
        'an exchange that is not there',
        404,
        /no exchange '\S+' in vhost '\/'/,
        (c, name) => c.checkExchange(name('x')),
      ],
      ['publishing to no exchange', 404, /no exchange/, (c, name) => c.publish(name('x'), 'k', Buffer.from('x'))],
      [
        'a reserved queue name',
        403,
        /queue name 'amq\.x' contains reserved prefix 'amq\.\*'/,
        (c) => c.assertQueue('amq.x'),
      ],
      ['the default exchange', 403, /operation not permitted on the default exchange/, (c) => c.deleteExchange('')],
      ['deleting a system exchange', 403, /deletion of system exchange/, (c) => c.deleteExchange('amq.direct')],
      [
        'a stream offset for a classic queue',
        406,
        /invalid arg 'x-stream-offset' for queue '\S+' in vhost '\/' of queue type rabbit_classic_queue/,
        async (c, name) => {
          const { queue } = await c.assertQueue(name('x'), { exclusive: true });
          await c.consume(queue, () => undefined, { arguments: { 'x-stream-offset': 'first' } });
        },
      ],
      ['an unknown delivery tag', 406, /unknown delivery tag 7/, (c) => c.ack({ fields: { deliveryTag: 7 } } as never)],
      [
        'a negative TTL',
        406,
        /invalid arg 'x-message-ttl'.*value_negative,-1/,
        (c, name) => c.assertQueue(name('x'), { messageTtl: -1 }),
      ],
      [
        'an expiration that is no number',
        406,
        /invalid expiration 'soon'/,
        (c, name) => c.sendToQueue(name('x'), Buffer.from(''), { expiration: 'soon' }),
      ],
      [
        'another user id',
        406,
        /user_id property set to 'bob'/,
        (c, name) => c.sendToQueue(name('x'), Buffer.from(''), { userId: 'bob' }),
      ],
      [
        'an exclusive quorum queue',
        406,
        /invalid property 'exclusive-owner'/,
        (c, name) => c.assertQueue(name('x'), { exclusive: true, arguments: { 'x-queue-type': 'quorum' } }),
      ],
    ] as const satisfies readonly (readonly [
      string,
      number,
      RegExp,
      (channel: Awaited<ReturnType<AmqpLab['channel']>>, name: (part: string) => string) => unknown,
    ])[])('%s closes the channel with %i', async (_what, code, text, act) => {
      const channel = await lab.channel();
      const refusal = await lab.refusal(channel, () => act(channel, (part) => lab.name(part)));
      expect(refusal.code).toBe(code);
      expect(refusal.message).toMatch(text);
    });

    it('a queue or an exchange declared again must be the same', async () => {
      const queue = await lab.queue('q', { messageTtl: 1000 });
      const first = await lab.channel();
      expect(
        await lab.refusal(first, () => first.assertQueue(queue, { durable: false, messageTtl: 2000 })),
      ).toMatchObject({
        code: 406,
        message: expect.stringContaining(
          `inequivalent arg 'x-message-ttl' for queue '${queue}' in vhost '/': received '2000' but current is '1000'`,
        ),
      });
      const [second, exchange] = [await lab.channel(), lab.name('x')];
      await second.assertExchange(exchange, 'direct', { durable: false });
      const refusal = await lab.refusal(second, () => second.assertExchange(exchange, 'fanout', { durable: false }));
      expect(refusal.message).toContain(`received 'fanout' but current is 'direct'`);
    });

    it('another connection may not use an exclusive queue, and only one consumer may be exclusive', async () => {
      const [owner, other] = [await lab.channel(), await lab.channel()];
      const own = lab.name('own');
      await owner.assertQueue(own, { exclusive: true, durable: false });
      expect((await lab.refusal(other, () => other.checkQueue(own))).code).toBe(405);
      const queue = await lab.queue('q');
      await lab.consume(owner, queue, { exclusive: true });
      const third = await lab.channel();
      expect(await lab.refusal(third, () => third.consume(queue, () => undefined))).toMatchObject({
        code: 403,
        message: expect.stringContaining('in exclusive use'),
      });
    });

    it('a wrong password and another virtual host are refused', async () => {
      const bad = new URL(url());
      bad.password = 'wrong';
      await expect(connect(bad.href)).rejects.toThrow(/ACCESS_REFUSED/);
      await expect(connect(`${url()}/nowhere`)).rejects.toThrow(/ConnectionClose/);
    });
  });
});
