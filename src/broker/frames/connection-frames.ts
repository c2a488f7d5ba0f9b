import { Socket } from 'node:net';
import type { Channel, ChannelModel } from 'amqplib';
import type { ChannelListener } from './content.ts';
import { FrameReader } from './frame-reader.ts';
import { FrameWriter, type OutgoingMessage } from './frame-writer.ts';

/** What an amqplib connection has and its types do not show. */
interface Internals {
  readonly stream: unknown;
  readonly frameMax: unknown;
  readonly maxFrameSize: unknown;
  /** Asked for by its heartbeats: whether anything came. */
  recvSinceLastCheck: unknown;
}

const byModel = new WeakMap<ChannelModel, ConnectionFrames>();

/** The frames of a connection that there are many of, which do not take the way through amqplib. */
export class ConnectionFrames {
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;

  private constructor(socket: Socket, internals: Internals) {
    this.#reader = new FrameReader(Number(internals.maxFrameSize));
    this.#writer = new FrameWriter(socket, Number(internals.frameMax));
    const read: (size?: number) => Buffer | null = socket.read.bind(socket);
    const reader = this.#reader;
    socket.read = (size?: number): Buffer | null => {
      // So Node asks for more to be there, and looks at nothing.
      if (size === 0) return read(0);
      for (;;) {
        const foreign = reader.next();
        if (foreign) return foreign;
        const chunk = read(size);
        if (chunk === null) return null;
        internals.recvSinceLastCheck = true;
        reader.push(chunk);
      }
    };
  }

  /** Steps between an amqplib connection and its socket, once, before a channel is opened. */
  static install(model: ChannelModel): void {
    const internals = model.connection as unknown as Internals;
    const socket = socketOf(model);
    const isKnown =
      socket !== undefined &&
      typeof internals.frameMax === 'number' &&
      typeof internals.maxFrameSize === 'number' &&
      typeof internals.recvSinceLastCheck === 'boolean';
    if (!isKnown) throw new Error('this version of amqplib is not one that svc-comm knows: install 2.3');
    byModel.set(model, new ConnectionFrames(socket, internals));
  }

  static of(model: ChannelModel): ConnectionFrames {
    const frames = byModel.get(model);
    if (!frames) throw new Error('the connection was not made by dial');
    return frames;
  }

  /** From now on until it closes, deliveries, returns and confirms of the channel are the listener's, not amqplib's. */
  channel(channel: Channel, listener: ChannelListener): ChannelFrames {
    const number = numberOf(channel);
    this.#reader.take(number, listener);
    channel.once('close', () => {
      // In front of the answer to a close of the broker's, which amqplib sends later: the broker still knows the channel.
      this.#writer.flush();
      this.#reader.leave(number);
    });
    return new ChannelFrames(number, this.#writer);
  }
}

/** What is written on one channel. Not after its close. */
export class ChannelFrames {
  readonly #number: number;
  readonly #writer: FrameWriter;

  constructor(number: number, writer: FrameWriter) {
    this.#number = number;
    this.#writer = writer;
  }

  /** @throws TypeError, FieldTooLargeError, with nothing written */
  publish(message: OutgoingMessage): void {
    this.#writer.publish(this.#number, message);
  }

  ack(tag: number, isMultiple: boolean): void {
    this.#writer.ack(this.#number, tag, isMultiple);
  }

  reject(tag: number): void {
    this.#writer.reject(this.#number, tag);
  }

  /** Before amqplib sends anything on the channel that has to come behind it. */
  flush(): void {
    this.#writer.flush();
  }
}

/** The socket under an amqplib connection, which its types do not show; undefined should it ever move. */
export function socketOf(model: ChannelModel): Socket | undefined {
  const { stream } = model.connection as { stream?: unknown };
  return stream instanceof Socket ? stream : undefined;
}

function numberOf(channel: Channel): number {
  const { ch } = channel as unknown as { ch?: unknown };
  if (typeof ch !== 'number') throw new Error('this version of amqplib is not one that svc-comm knows: install 2.3');
  return ch;
}
