// amqplib and pg as their users have them: a channel that consumes, a pool, no more than 20 messages handled at once.
import { connect } from 'amqplib';
import pg from 'pg';
import { atOnce, told } from './side.mjs';

const { brokerUrl, databaseUrl, queue, prefetch, effect, isHolding } = told();
const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 });
await pool.query('SELECT 1');
const model = await connect(brokerUrl, { noDelay: true });
const channel = await model.createChannel();
await channel.prefetch(prefetch);
const handle = async (message) => {
  const { payload } = JSON.parse(message.content.toString());
  if (isHolding) return new Promise(() => undefined);
  await pool.query(`INSERT INTO ${effect} VALUES ($1, $2)`, [message.properties.messageId, payload.total]);
  channel.ack(message);
};
const run = atOnce(handle);
await channel.consume(queue, (message) => message && run(message));
process.send('ready');
