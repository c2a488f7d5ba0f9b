import { randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import { Client } from 'pg';

/** @throws unless we can log in and make a quorum queue; nothing is left behind */
export async function probeBroker(url: string): Promise<void> {
  const connection = await connect(url, { timeout: 5_000 });
  connection.on('error', () => undefined);
  try {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    const queue = `svc_comm_probe_${randomBytes(5).toString('hex')}`;
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.deleteQueue(queue);
  } finally {
    await connection.close().catch(() => undefined);
  }
}

/** @throws unless we can log in and make a schema; nothing is left behind */
export async function probeDatabase(connectionString: string): Promise<void> {
  const client = new Client({ connectionString, connectionTimeoutMillis: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const schema = `svc_comm_probe_${randomBytes(5).toString('hex')}`;
    await client.query(`BEGIN; CREATE SCHEMA ${schema}; ROLLBACK`);
  } finally {
    await client.end().catch(() => undefined);
  }
}
