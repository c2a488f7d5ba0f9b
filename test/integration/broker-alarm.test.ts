import { afterAll, beforeAll, expect, it } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { callConsumer } from '../../src/router/call-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { type OwnRabbit, startOwnRabbit } from '../support/own-servers.ts';

let rabbit: OwnRabbit;
let service: SvcCommService;
let callee: ReturnType<SvcCommService['consumer']>;

beforeAll(async () => {
  rabbit = await startOwnRabbit();
  const messageRouter = new MessageRouter();
  service = createService({ appId: 'alarmed', brokerUrl: rabbit.url, logLevel: 'silent' }, { messageRouter });
  messageRouter.consumer('alarmed', 'sum')(callConsumer(async ({ x, y }: { x: number; y: number }) => x + y));
  callee = service.consumer();
  await callee.start();
});
afterAll(async () => {
  await callee.stop();
  await service.close();
  await rabbit.remove();
});

const codes = async () => (await service.examine()).flatMap(({ code }) => (code === undefined ? [] : [code]));

/** More than any disk has. */
const alarm = (is: boolean) => rabbit.ctl('set_disk_free_limit', is ? '100000GB' : '50MB');

it('an alarm of the broker is what a call and a command that fail by it tell of, not their receiver, and doctor finds it', async () => {
  const ask = () => service.call('alarmed', 'sum', { x: 1, y: 2 }, { timeout: 5 });
  expect(await ask()).toBe(3);
  expect(await codes()).not.toContain('broker-alarm');
  await alarm(true);
  // Its connections hear of it after the command has returned.
  await expect.poll(codes, { timeout: 20_000 }).toContain('broker-alarm');
  const told = expect.stringMatching(/takes no publishes \(low on disk\).*rabbitmqctl status/);
  await expect(ask()).rejects.toMatchObject({ code: 'SVC_COMM_CALL_TIMEOUT', message: told });
  const send = () => service.sendCommand('alarmed', { x: 1 }, { commandName: 'sum', timeout: 5 });
  await expect(send()).rejects.toMatchObject({ message: expect.stringContaining('takes no publishes (low on disk)') });
  // RabbitMQ has told both connections now, since they have published.
  const notSent = {
    code: 'SVC_COMM_BROKER_UNAVAILABLE',
    message: expect.stringContaining('takes no publishes (low on disk)'),
  };
  await expect(ask()).rejects.toMatchObject(notSent);
  await expect(send()).rejects.toMatchObject(notSent);
  expect(await codes()).toContain('broker-alarm');
  await alarm(false);
  await expect.poll(() => ask().catch(() => undefined)).toBe(3);
  expect(await codes()).not.toContain('broker-alarm');
});

it('doctor that is refused the connection by which it asks for alarms says so, looks at the rest, and leaves none behind', async () => {
  await rabbit.ctl('add_user', 'limited', 'limited');
  await rabbit.ctl('set_permissions', 'limited', '.*', '.*', '.*');
  await rabbit.ctl('set_user_limits', 'limited', '{"max-connections": 1}');
  const url = new URL(rabbit.url);
  [url.username, url.password] = ['limited', 'limited'];
  const messageRouter = new MessageRouter();
  messageRouter.consumer('alarmed', 'sum')(callConsumer(async () => 0));
  const limited = createService({ appId: 'alarmed', brokerUrl: url.href, logLevel: 'silent' }, { messageRouter });
  const findings = await limited.examine();
  expect(findings).toContainEqual(expect.objectContaining({ area: 'broker', code: 'broker-refused' }));
  expect(findings).toContainEqual(expect.objectContaining({ area: 'topology', status: 'ok' }));
  await limited.close();
  await expect.poll(() => rabbit.ctl('list_connections', 'user')).not.toContain('limited');
});
