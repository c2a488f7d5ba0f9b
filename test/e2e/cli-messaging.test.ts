import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bin, CliProject } from '../support/cli-project.ts';
import { until } from '../support/consumer-kit.ts';
import { freePort } from '../support/servers/free-port.ts';
import { testBrokerUrl } from '../support/servers.ts';

const CONSUMERS = `
import { callConsumer, commandConsumer, eventConsumer, messageRouter } from 'svc-comm';

messageRouter.consumer('EXCHANGE', 'send')(commandConsumer(async (args, context) => {
  console.log('command', JSON.stringify(args), context.deadline ? 'with a deadline' : 'without');
}));
messageRouter.consumer('EXCHANGE', 'created')(eventConsumer(async (payload, event, context) => {
  console.log('event', JSON.stringify(payload), context.key);
}));
messageRouter.consumer('EXCHANGE', 'quote')(callConsumer(async ({ n }) => {
  if (n === 0) throw Object.assign(new Error('no such thing'), { code: 'NO_SUCH_THING' });
  return { price: n * 2 };
}));
`;

const project = new CliProject({ 'src/consumers.ts': CONSUMERS });
const { exchange } = project;
let broker: Awaited<ReturnType<typeof connect>>;
let channel: Awaited<ReturnType<typeof broker.createChannel>>;
let consumer: ReturnType<CliProject['startCli']>;

beforeAll(async () => {
  broker = await connect(testBrokerUrl());
  channel = await broker.createChannel();
  expect((await project.cli('migrate')).code).toBe(0);
  consumer = project.startCli('runconsumer', '--log-level', 'info');
  await consumer.line('consuming from queue');
});
afterAll(async () => {
  await broker.close();
  await project.remove();
});

describe('svc-comm send', () => {
  it('sends a command with its arguments and its deadline', async () => {
    const sent = await project.cli('send', exchange, 'send', '--data', '{"phone":"1"}', '--timeout', '30');
    expect(sent).toMatchObject({ code: 0, stderr: '' });
    expect(sent.stdout).toMatch(new RegExp(`^sent ${exchange} send as [0-9a-f-]{36}\\n$`));
    await consumer.line('command {"phone":"1"} with a deadline');
  });

  it('takes its data from a file and from standard input, and prints JSON', async () => {
    project.write('arguments.json', '{"from":"file"}');
    const sent = await project.cli('send', exchange, 'send', '--data', '@arguments.json', '--json');
    expect(JSON.parse(sent.stdout)).toMatchObject({ service: exchange, commandName: 'send' });
    await consumer.line('command {"from":"file"} without');
    const options = { cwd: project.root, env: project.environment };
    const piped = spawn(process.execPath, [bin, 'send', exchange, 'send', '-d', '-'], options);
    piped.stdin.end('{"from":"stdin"}');
    expect((await once(piped, 'close'))[0]).toBe(0);
    await consumer.line('command {"from":"stdin"} without');
  });

  it.each([
    [['--data', 'no json'], /--data is no JSON/],
    [['--data', '[1]'], /a JSON object/],
    [['--data', '@missing.json'], /ENOENT/],
    [['--data', '{"meta":1}'], /no key "meta"/],
    [['--timeout', 'soon'], /seconds, or a duration/],
    [['--timeout', '0'], /seconds, or a duration/],
  ])('exits with 2 for %j', async (args, text) => {
    const { code, stderr } = await project.cli('send', exchange, 'send', ...args);
    expect(code).toBe(2);
    expect(stderr).toMatch(text);
  });

  it('exits with 1 when no queue takes it, and when the broker is down', async () => {
    const lost = await project.cli('send', `${exchange}y`, 'send', '--json');
    await channel.deleteExchange(`${exchange}y`);
    expect(lost.code).toBe(1);
    expect(JSON.parse(lost.stdout)).toMatchObject({ error: { code: 'SVC_COMM_UNROUTABLE', exchange: `${exchange}y` } });
    const environment = { SVC_COMM_BROKER_URL: `amqp://guest:guest@127.0.0.1:${await freePort()}` };
    const down = await project.run([bin, 'send', exchange, 'send', '--no-wait'], environment);
    expect(down.code).toBe(1);
    expect(down.stderr).toContain('SVC_COMM_BROKER_UNAVAILABLE');
  });
});

describe('svc-comm call', () => {
  it('prints the answer, for people and as JSON', async () => {
    const asked = await project.cli('call', exchange, 'quote', '--data', '{"n":21}', '--timeout', '20');
    expect(asked).toMatchObject({ code: 0, stdout: '{\n  "price": 42\n}\n' });
    const json = await project.cli('call', exchange, 'quote', '--data', '{"n":1}', '--json');
    expect(JSON.parse(json.stdout)).toEqual({ service: exchange, method: 'quote', answer: { price: 2 } });
  });

  it('exits with 1 and the code of the callee when that failed, and when no answer came in time', async () => {
    const failed = await project.cli('call', exchange, 'quote', '--data', '{"n":0}', '--json');
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({
      error: { code: 'SVC_COMM_REMOTE', remoteCode: 'NO_SUCH_THING', message: 'no such thing' },
    });
    const inWords = await project.cli('call', exchange, 'quote', '--data', '{"n":0}');
    expect(inWords.stderr).toMatch(/no such thing\n.*SVC_COMM_REMOTE.*NO_SUCH_THING/);
    const unanswered = await project.cli('call', exchange, 'send', '--timeout', '5');
    expect(unanswered.code).toBe(1);
    expect(unanswered.stderr).toMatch(/within 5000 ms.*\n.*SVC_COMM_CALL_TIMEOUT/);
  });
});

describe('svc-comm publish and watch', () => {
  it('publish sends an event with its key; watch prints what passes, and takes nothing from the consumers', async () => {
    const watching = project.startCli('watch', exchange, 'created', '--json');
    const all = project.startCli('watch', exchange);
    await Promise.all([watching.line('watching exchange'), all.line('watching exchange')]);
    const data = JSON.stringify({ id: 7, text: '\u001b[31mred' });
    const { code, stdout } = await project.cli('publish', exchange, 'created', '--data', data, '--key', '7', '--json');
    expect(code).toBe(0);
    const { eventId } = JSON.parse(stdout);
    await project.cli('send', exchange, 'send', '--data', '{"passes":"too"}');
    await consumer.line('event {"id":7');
    await consumer.line('command {"passes":"too"}');
    const line = await watching.line('"created"');
    expect(JSON.parse(line)).toMatchObject({
      exchange,
      routingKey: 'created',
      properties: { messageId: eventId, deliveryMode: 2 },
      headers: { 'svc-comm-key': '7' },
      bodyKind: 'json',
      body: { eventType: 'created', payload: { id: 7 } },
    });
    expect(watching.lines.some((seen) => seen.includes('passes'))).toBe(false);
    expect(await all.line(eventId)).toContain('created');
    await all.line('{"passes":"too","meta":{}}');
    // One copy each for the consumer: handled, none left, none dead.
    await until(async () => (await channel.checkQueue(project.queue)).messageCount === 0);
    expect((await channel.checkQueue(`${project.queue}.dead`)).messageCount).toBe(0);
    expect(consumer.lines.filter((seen) => seen.includes('event {"id":7'))).toHaveLength(1);
    expect(await Promise.all([watching.stop('SIGINT'), all.stop()])).toEqual([0, 0]);
    // What it made on the broker is gone with it.
    expect((await channel.checkQueue(project.queue)).consumerCount).toBe(1);
  });

  it('watch leaves to the broker what a reader that has paused does not take, which keeps the newest 10,000', async () => {
    const MANY = 15_000;
    const watching = project.startCli('watch', exchange, 'flood', '--json');
    await watching.line('watching exchange');
    watching.child.stdout?.pause();
    const flood = await broker.createConfirmChannel();
    const text = 'x'.repeat(400);
    for (let n = 1; n <= MANY; n += 1) flood.publish(exchange, 'flood', Buffer.from(JSON.stringify({ n, text })));
    await flood.waitForConfirms();
    watching.child.stdout?.resume();
    await watching.line(`{"n":${MANY},`);
    const seen = watching.lines.filter((line) => line.includes('"flood"')).map((line) => JSON.parse(line).body.n);
    // With those 10,000 what it was handed (20), and what stands between it and its reader.
    expect(seen.length).toBeLessThan(13_000);
    expect(seen.slice(-9_000)).toEqual(Array.from({ length: 9_000 }, (_, n) => MANY - 8_999 + n));
    expect(await watching.stop()).toBe(0);
  });

  it('watch exits with 1 for an exchange that is not there, which it does not make', async () => {
    const { code, stderr } = await project.cli('watch', `${exchange}.none`);
    expect(code).toBe(1);
    expect(stderr).toContain('SVC_COMM_EXCHANGE_UNAVAILABLE');
    const again = await project.cli('watch', `${exchange}.none`, '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { exchange: `${exchange}.none` } });
  });

  it('watch ends when whoever reads it has gone', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${bin}" watch ${exchange} | head -n 1`], {
      cwd: project.root,
      env: project.environment,
    });
    let isOver = false;
    const over = once(child, 'close').then(() => {
      isOver = true;
    });
    await until(async () => {
      await project.cli('publish', exchange, 'created');
      return isOver;
    });
    await over;
  });

  it('publish exits with 1 when no queue takes it', async () => {
    const { code, stderr } = await project.cli('publish', `${exchange}z`, 'created');
    await channel.deleteExchange(`${exchange}z`);
    expect(code).toBe(1);
    expect(stderr).toContain('SVC_COMM_UNROUTABLE');
  });
});
