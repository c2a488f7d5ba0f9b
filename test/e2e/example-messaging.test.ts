import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import pg from 'pg';
import { afterAll, describe, expect, it } from 'vitest';
import { testBrokerUrl, testDatabaseUrl } from '../support/servers.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const LESSONS = { '02-commands': ['orders', 'sms', 'sns'], '03-calls': ['orders', 'pricing'] };

afterAll(async () => {
  const broker = await connect(testBrokerUrl());
  const channel = await broker.createChannel();
  const database = new pg.Client({ connectionString: testDatabaseUrl() });
  await database.connect();
  for (const [folder, services] of Object.entries(LESSONS)) {
    const lesson = `lesson${folder.slice(0, 2)}`;
    await database.query(`DROP SCHEMA IF EXISTS ${lesson} CASCADE`);
    for (const service of services) {
      const queue = `${lesson}-${service}`;
      for (const suffix of ['', '.dead', ...[1, 5, 30, 120].map((s) => `.retry.${s * 1000}`)]) {
        await channel.deleteQueue(`${queue}${suffix}`);
      }
      await channel.deleteExchange(queue);
      await channel.deleteExchange(`${queue}.replies`);
    }
  }
  await broker.close();
  await database.end();
});

const SERVERS = {
  'the embedded broker and database': { SVC_COMM_BROKER_URL: undefined, SVC_COMM_DATABASE_URL: undefined },
  'RabbitMQ and PostgreSQL': { SVC_COMM_BROKER_URL: testBrokerUrl(), SVC_COMM_DATABASE_URL: testDatabaseUrl() },
};

describe.each(Object.keys(LESSONS))('examples/%s, run against the built package', (lesson) => {
  it.each(Object.entries(SERVERS))('on %s prints what stands in expected.txt, and ends', async (_name, urls) => {
    const folder = join(root, 'examples', lesson);
    const env = { ...process.env, ...urls };
    const args = ['--import', 'tsx', join(folder, 'main.ts')];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root, env, timeout: 60_000 });
    expect(stdout).toBe(await readFile(join(folder, 'expected.txt'), 'utf8'));
    expect(stderr).toBe('');
  });
});
