import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelModel, connect } from 'amqplib';
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

test('a state file that cannot be used ends it with exit 1, and says which', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-broker-'));
  await writeFile(join(folder, 'file'), '');
  try {
    for (const keep of [folder, join(folder, 'file', 'state')]) {
      const { exit, lines } = new Running(
        spawn(process.execPath, [bin, '--json', 'broker', '--port', '0', '--keep', keep]),
      );
      expect(await exit).toBe(1);
      expect(lines.join('\n')).toContain('SVC_COMM_EMBEDDED_STATE');
      expect(lines.join('\n')).toContain(keep);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test.skipIf(process.platform === 'win32')(
  'a state file that can no longer be written ends it with exit 1',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'svc-comm-broker-'));
    try {
      // A limit on the size of files, in blocks of 512 or 1024 bytes: what is beyond it cannot be written.
      const command = `trap '' XFSZ; ulimit -f 64; exec "$@"`;
      const args = [process.execPath, bin, '--json', 'broker', '--port', '0', '--keep', join(folder, 'state')];
      const broker = new Running(spawn('sh', ['-c', command, 'sh', ...args]));
      const { url } = JSON.parse(await broker.line('"url"')) as { url: string };
      const connection = await connect(url);
      connection.on('error', () => undefined);
      const channel = await connection.createConfirmChannel();
      channel.on('error', () => undefined);
      await channel.assertQueue('full', { durable: true });
      for (let sent = 0; sent < 20; sent += 1) channel.sendToQueue('full', Buffer.alloc(10_000), { persistent: true });
      expect(await broker.exit).toBe(1);
      expect(broker.lines.join('\n')).toContain('its state cannot be written');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

test('a port that is taken ends it with exit 2 and says which', async () => {
  const { broker, url } = await start([]);
  const { port } = new URL(url);
  const other = new Running(spawn(process.execPath, [bin, '--json', 'broker', '--port', port]));
  expect(await other.exit).toBe(2);
  expect(other.lines.join('\n')).toContain(port);
  broker.child.kill('SIGTERM');
  expect(await broker.exit).toBe(0);
});

test('a second broker on a state file is refused, and the first loses nothing that it confirmed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'svc-comm-broker-'));
  const file = join(folder, 'state');
  const keep = ['--keep', file];
  try {
    const first = await start(keep);
    // A port that is taken, as when a command is given twice, and one that is free.
    for (const port of [new URL(first.url).port, '0']) {
      const second = new Running(spawn(process.execPath, [bin, '--json', 'broker', '--port', port, ...keep]));
      expect(await second.exit).not.toBe(0);
      expect(second.lines.join('\n')).toContain(`process ${first.broker.child.pid} keeps its state in it`);
    }
    const channel = await (await connectTo(first.url)).createConfirmChannel();
    await channel.assertQueue('kept', { durable: true });
    channel.sendToQueue('kept', Buffer.from('hello'), { persistent: true });
    await channel.waitForConfirms();
    first.broker.child.kill('SIGKILL');
    await first.broker.exit;

    const third = await start(keep);
    const again = await connect(third.url);
    expect(await (await again.createChannel()).checkQueue('kept')).toMatchObject({ messageCount: 1 });
    await again.close();
    third.broker.child.kill('SIGTERM');
    expect(await third.broker.exit).toBe(0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** Through the loss of its broker, which its test brings about. */
async function connectTo(url: string): Promise<ChannelModel> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  return connection;
}
