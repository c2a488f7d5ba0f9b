import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'amqplib';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type OwnPostgres, type OwnRabbit, startOwnPostgres, startOwnRabbit } from '../support/own-servers.ts';

describe('a RabbitMQ of our own', () => {
  let rabbit: OwnRabbit;
  beforeAll(async () => {
    rabbit = await startOwnRabbit();
  });
  afterAll(() => rabbit?.remove());

  const withChannel = async <T>(work: (channel: Awaited<ReturnType<typeof open>>['channel']) => Promise<T>) => {
    const { connection, channel } = await open(rabbit.url);
    const result = await work(channel);
    await connection.close();
    return result;
  };

  it('keeps a confirmed persistent message over kill -9 and restart, on the same port', async () => {
    await withChannel(async (channel) => {
      await channel.assertQueue('kept', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      channel.sendToQueue('kept', Buffer.from('still here'), { persistent: true });
      await channel.waitForConfirms();
    });
    await rabbit.flushDeclarations();
    await rabbit.kill9();
    await expect(connect(rabbit.url)).rejects.toThrow('ECONNREFUSED');
    await rabbit.restart();
    const body = await withChannel(async (channel) => {
      const message = await channel.get('kept', { noAck: true });
      if (!message) throw new Error('the queue is empty');
      return message.content.toString();
    });
    expect(body).toBe('still here');
  });

  it('cuts its clients on closeAllConnections and answers rabbitmqctl', async () => {
    const { connection } = await open(rabbit.url);
    const lost = once(connection, 'close');
    await rabbit.closeAllConnections('over');
    await lost;
    expect(await rabbit.ctl('list_queues', 'name', '--quiet')).toContain('kept');
  });

  it('leaves no folder behind', async () => {
    await rabbit.remove();
    expect(existsSync(rabbit.home)).toBe(false);
  });
});

describe('a PostgreSQL of our own', () => {
  let postgres: OwnPostgres;
  beforeAll(async () => {
    postgres = await startOwnPostgres();
  });
  afterAll(() => postgres?.remove());

  const query = async (sql: string): Promise<unknown[]> => {
    const client = new Client({ connectionString: postgres.url });
    await client.connect();
    const { rows } = await client.query(sql);
    await client.end();
    return rows;
  };

  it('keeps a committed row over kill -9 and start, and over an immediate restart, on the same port', async () => {
    await query('CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)');
    await postgres.kill9();
    await expect(query('SELECT 1')).rejects.toThrow('ECONNREFUSED');
    await postgres.start();
    await query('INSERT INTO kept VALUES (2)');
    await postgres.immediateRestart();
    expect(await query('SELECT n FROM kept ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it('leaves no folder behind', async () => {
    await postgres.remove();
    expect(existsSync(postgres.home)).toBe(false);
  });
});

it('servers do not outlive a process that is killed', async () => {
  const file = new URL('../support/servers/own-server-child.ts', import.meta.url);
  const child = fork(file, { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [{ url, home }] = (await once(child, 'message')) as [{ url: string; home: string }];
  child.kill('SIGKILL');
  await vi.waitUntil(() => !existsSync(home), { timeout: 20_000 });
  await expect(new Client({ connectionString: url }).connect()).rejects.toThrow('ECONNREFUSED');
});

async function open(url: string) {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const channel = await connection.createConfirmChannel();
  return { connection, channel };
}
