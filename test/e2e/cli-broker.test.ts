import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { expect, test } from 'vitest';
import { bin, Running } from '../support/cli-project.ts';

async function start(args: readonly string[]): Promise<{ broker: Running; url: string }> {
  const broker = new Running(spawn(process.execPath, [bin, '--json', 'broker', '--port', '0', ...args]));
  const { url } = JSON.parse(await broker.line('"url"')) as { url: string };
  return { broker, url };
}

test('svc-comm broker prints its URL, serves AMQP clients, and with --keep has their messages after a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-broker-'));
  const keep = ['--keep', join(folder, 'state', 'broker.json')];
  try {
    const first = await start(keep);
    const connection = await connect(first.url);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('kept', { durable: true });
    channel.sendToQueue('kept', Buffer.from('hello'), { persistent: true });
    await channel.waitForConfirms();
    await connection.close();
    first.broker.child.kill('SIGTERM');
    expect(await first.broker.exit).toBe(0);

    const second = await start(keep);
    const again = await connect(second.url);
    const message = await (await again.createChannel()).get('kept', { noAck: true });
    if (!message) throw new Error('the message was not kept');
    expect(message.content.toString()).toBe('hello');
    await again.close();
    second.broker.child.kill('SIGTERM');
    expect(await second.broker.exit).toBe(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('a port that is taken ends it with exit 2 and says which', async () => {
  const { broker, url } = await start([]);
  const { port } = new URL(url);
  const other = new Running(spawn(process.execPath, [bin, '--json', 'broker', '--port', port]));
  expect(await other.exit).toBe(2);
  expect(other.lines.join('\n')).toContain(port);
  broker.child.kill('SIGTERM');
  expect(await broker.exit).toBe(0);
});
