import { type ChannelModel, connect, credentials } from 'amqplib';
import type { BrokerNode } from './broker-url.ts';
import { ConnectionFrames, socketOf } from './frames/connection-frames.ts';

export interface DialOptions {
  /** Shown in the broker's list of connections. */
  readonly connectionName: string;
  /** For a URL that names none; 0 switches heartbeats off. Rounded up to whole seconds. */
  readonly heartbeatMs: number;
  /** TCP, TLS and the AMQP handshake together, in ms. */
  readonly timeoutMs: number;
}

/** Measured: fewer, larger writes; 16 KiB, Node's default, stalls a burst of publishes. */
const SOCKET_BUFFER_BYTES = 256 * 1024;
const KEEP_ALIVE_MS = 30_000;

/**
 * Opens one connection to one node. When the time is over or the signal aborts, the socket is destroyed: a peer that
 * accepts and then says nothing holds neither us nor a descriptor.
 */
export async function dial(node: BrokerNode, options: DialOptions, signal: AbortSignal): Promise<ChannelModel> {
  const ending = new AbortController();
  const onAbort = () => ending.abort(signal.reason);
  const timer = setTimeout(() => ending.abort(), options.timeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const socketOptions = {
      ...(await node.tls?.options()),
      ...(node.isExternal && { credentials: credentials.external() }),
      noDelay: true,
      keepAlive: true,
      keepAliveDelay: KEEP_ALIVE_MS,
      highWaterMark: SOCKET_BUFFER_BYTES,
      signal: ending.signal,
      clientProperties: { connection_name: options.connectionName },
    };
    const model = await connect(node.connectOptions(Math.ceil(options.heartbeatMs / 1000)), socketOptions);
    // A close that came in the same packet as open-ok was reported before anyone could listen.
    if (socketOf(model)?.destroyed === true) throw new Error('the broker closed the connection at once');
    ConnectionFrames.install(model);
    return model;
  } catch (error) {
    if (ending.signal.aborted && !signal.aborted) {
      throw new Error(`no AMQP handshake within ${options.timeoutMs} ms`, { cause: error });
    }
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
