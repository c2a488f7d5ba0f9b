import type { Channel } from 'amqplib';
import type { BrokerConnection } from './connection.ts';
import type { OpenConnection } from './connection-listener.ts';
import { within } from './within.ts';

/** A broker that lets a request wait for longer is taken for stuck: the connection is given up and made anew. */
const ANSWER_MS = 10_000;

/**
 * Waits for the broker's answer. While it blocks us it does not read, so there no silence counts against it.
 * @throws what the request throws, or BrokerUnavailableError when there was no answer in time
 */
export async function answered<T>(connection: BrokerConnection, open: OpenConnection, request: Promise<T>): Promise<T> {
  return within(ANSWER_MS, request, () => {
    const error = connection.unavailable(`no answer within ${ANSWER_MS} ms`);
    if (connection.blockedReason === undefined) connection.recycle(open.epoch, error);
    return error;
  });
}

/** As `answered`, for what may take the broker longer while it serves everything else: the connection is kept. */
export function patiently<T>(connection: BrokerConnection, _open: OpenConnection, request: Promise<T>): Promise<T> {
  return within(ANSWER_MS, request, () => connection.unavailable(`no answer within ${ANSWER_MS} ms`));
}

/**
 * Opens a channel that cannot end the process: an `error` without a listener would.
 * @param wait for the broker's answer: `answered` or `patiently`
 */
export async function openChannel(
  connection: BrokerConnection,
  open: OpenConnection,
  wait: typeof answered = answered,
): Promise<Channel> {
  const opening = open.model.createChannel();
  // One that opens after we gave up on it is closed again.
  const channel = await wait(connection, open, opening).catch((error: unknown) => {
    opening.then((late) => closeChannel(late)).catch(() => undefined);
    throw error;
  });
  channel.on('error', () => undefined);
  return channel;
}

/** Runs the work on a channel of its own, so that an error of the broker, which closes the channel, harms no other. */
export async function withChannel<T>(
  connection: BrokerConnection,
  open: OpenConnection,
  work: (channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = await openChannel(connection, open);
  try {
    return await answered(connection, open, work(channel));
  } finally {
    closeChannel(channel).catch(() => undefined);
  }
}

/** Rejects when the channel has gone already. */
export function closeChannel(channel: Channel): Promise<void> {
  channel.on('error', () => undefined);
  return channel.close();
}
