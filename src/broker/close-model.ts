import type { ChannelModel } from 'amqplib';
import { socketOf } from './frames/connection-frames.ts';
import { within } from './within.ts';

/** Long enough for the last frames to leave, short enough that reconnects to a dead peer do not pile up descriptors. */
const LINGER_MS = 1_000;

/** Closes with AMQP's handshake; whoever does not answer in time, or has gone already, loses the socket. */
export async function closeModel(model: ChannelModel, timeoutMs: number): Promise<void> {
  await within(timeoutMs, model.close(), () => new Error('no close-ok')).catch(() => undefined);
  destroySocket(model);
}

/**
 * amqplib only ends its side of a lost connection: to a peer that is gone without a word, the socket would stay for
 * as long as the system retries.
 */
export function destroySocket(model: ChannelModel): void {
  // An error of a connection that nobody wants any more is nobody's; without listeners it would end the process.
  model.on('error', () => undefined);
  const socket = socketOf(model);
  if (!socket || socket.destroyed) return;
  socket.on('error', () => undefined);
  // With an error, since amqplib hears of nothing else: its channels close, its heartbeat timers end.
  const destroy = () => socket.destroy(new Error('the connection was given up'));
  socket.end(destroy);
  setTimeout(destroy, LINGER_MS).unref();
}
