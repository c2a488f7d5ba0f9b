import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { messageRouter } from '../../src/router/default-router.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { ServiceKit } from '../support/service-kit.ts';

let kit: ServiceKit;
let service: SvcCommService;

beforeAll(async () => {
  kit = await ServiceKit.open('other_router');
  service = kit.service('orders');
});

afterAll(() => kit?.close());

describe('a service whose consumers are registered on the router of the package, and not on its own', () => {
  test('does not start to consume, so that no message is acked without them', async () => {
    const queue = service.settings.appId;
    await service.migrate();
    await service.declare();
    kit.channel.sendToQueue(queue, Buffer.from('{}'));
    messageRouter.consumer(queue, 'placed')(eventConsumer(async () => undefined));
    const consumer = service.consumer();
    await expect(consumer.start()).rejects.toMatchObject({
      code: 'SVC_COMM_INVALID_CONSUMER',
      message: expect.stringContaining('createService(settings, { messageRouter })'),
    });
    await consumer.stop();
    await expect.poll(async () => (await kit.channel.checkQueue(queue)).messageCount).toBe(1);
    // With one of its own it is meant as it is.
    service.messageRouter.consumer(queue, 'placed')(eventConsumer(async () => undefined));
    await consumer.start();
  });

  test('is warned of instance methods that nobody registered before the start', async () => {
    const other = kit.service('shop');
    class Shop {
      @other.messageRouter.consumer(other.settings.appId, 'sold')
      @eventConsumer
      async onSold(): Promise<void> {}
    }
    other.messageRouter.consumer(other.settings.appId, 'bought')(eventConsumer(async () => undefined));
    await other.consumer().start();
    const lines = kit.log.lines.filter(({ text }) => text.includes('not registered before the start'));
    expect(lines.map(({ fields }) => String((fields as { consumers: unknown }).consumers))).toEqual([
      expect.stringContaining('onSold'),
    ]);
    expect(Shop.name).toBe('Shop');
  });
});

describe('consumers that the setting binds brings nothing', () => {
  test('are named in a warning at the start, the others are not', async () => {
    const exchange = kit.exchangeName('binds');
    const narrow = kit.service('narrow', { exchanges: [[exchange, 'topic']], binds: [[exchange, 'paid']] });
    narrow.messageRouter.consumer(exchange, 'paid')(eventConsumer(async function onPaid() {}));
    narrow.messageRouter.consumer(exchange, 'shipped')(eventConsumer(async function onShipped() {}));
    await narrow.migrate();
    await narrow.consumer().start();
    const [line, ...rest] = kit.log.lines.filter(({ text }) => text.includes('the setting binds brings'));
    expect(rest).toEqual([]);
    expect(line?.fields).toMatchObject({
      consumers: [expect.stringContaining('onShipped')],
      binds: [{ exchange, pattern: 'paid' }],
    });
  });
});
