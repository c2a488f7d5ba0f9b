import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ByteWriter } from '../../src/embedded/broker/byte-writer.ts';
import { EMPTY_TABLE } from '../../src/embedded/broker/field-table.ts';
import { FRAME, FRAME_END } from '../../src/embedded/broker/frame.ts';
import { FrameReader } from '../../src/embedded/broker/frame-reader.ts';
import { readMethod, writeMethod } from '../../src/embedded/broker/method-codec.ts';
import type { Method, MethodArguments, MethodName } from '../../src/embedded/broker/method-table.ts';

export const PROTOCOL_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');

export function frame(type: number, channel: number, payload: Buffer): Buffer {
  const writer = new ByteWriter();
  writer.uint8(type);
  writer.uint16(channel);
  writer.uint32(payload.length);
  writer.bytes(payload);
  writer.uint8(FRAME_END);
  return Buffer.from(writer.take());
}

export function encodedMethod<Name extends MethodName>(name: Name, args: MethodArguments<Name>): Buffer {
  const writer = new ByteWriter();
  writeMethod(writer, name, args);
  return Buffer.from(writer.take());
}

export const methodFrame = <Name extends MethodName>(channel: number, name: Name, args: MethodArguments<Name>) =>
  frame(FRAME.method, channel, encodedMethod(name, args));

/** The header of a content, and no properties. */
export function contentHeader(bodyBytes: number, classId = 60): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(classId, 0);
  bytes.writeBigUInt64BE(BigInt(bodyBytes), 4);
  return bytes;
}

/** A client that sends any frames, also such as no library would. */
export class RawPeer {
  readonly #socket: Socket;
  /** Methods that came and were not asked for yet. */
  readonly #methods: Method[] = [];
  #wake: () => void = () => undefined;
  #isEnded = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new FrameReader(2 ** 30);
    socket.on('data', (chunk: Buffer) => {
      reader.push(chunk, (type, _channel, payload) => {
        if (type === FRAME.method) this.#methods.push(readMethod(payload));
      });
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  /** What the broker says first. */
  static async greeting(url: string): Promise<MethodArguments<'connection.start'>> {
    const peer = await RawPeer.dialled(url);
    const start = await peer.next('connection.start');
    peer.close();
    return start;
  }

  /** Up to `connection.start`. */
  static async greeted(url: string): Promise<RawPeer> {
    const peer = await RawPeer.dialled(url);
    await peer.next('connection.start');
    return peer;
  }

  private static async dialled(url: string): Promise<RawPeer> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port || 5672), hostname);
    await once(socket, 'connect');
    const peer = new RawPeer(socket);
    peer.send(PROTOCOL_HEADER);
    return peer;
  }

  /** With channel 1 open. */
  static async open(url: string): Promise<RawPeer> {
    const peer = await RawPeer.greeted(url);
    const { username, password } = new URL(url);
    const response = `\0${username}\0${password}`;
    peer.method(0, 'connection.start-ok', {
      clientProperties: EMPTY_TABLE,
      mechanism: 'PLAIN',
      response,
      locale: 'en_US',
    });
    await peer.next('connection.tune');
    peer.method(0, 'connection.tune-ok', { channelMax: 10, frameMax: 131_072, heartbeat: 0 });
    peer.method(0, 'connection.open', { virtualHost: '/', reserved1: '', reserved2: false });
    peer.method(1, 'channel.open', { reserved1: '' });
    await peer.next('channel.open-ok');
    return peer;
  }

  send(...bytes: Buffer[]): void {
    this.#socket.write(Buffer.concat(bytes));
  }

  method<Name extends MethodName>(channel: number, name: Name, args: MethodArguments<Name>): void {
    this.send(methodFrame(channel, name, args));
  }

  /** The next method from the broker; `undefined` when the broker has ended the connection instead. */
  async nextMethod(): Promise<Method | undefined> {
    for (;;) {
      const method = this.#methods.shift();
      if (method || this.#isEnded) return method;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Arguments of the next method of this name; what comes before it is passed over. */
  async next<Name extends MethodName>(name: Name): Promise<MethodArguments<Name>> {
    for (;;) {
      const method = await this.nextMethod();
      if (!method) throw new Error(`the broker ended the connection before ${name}`);
      if (method.name === name) return method.args as MethodArguments<Name>;
    }
  }

  close(): void {
    this.#socket.destroy();
  }
}
