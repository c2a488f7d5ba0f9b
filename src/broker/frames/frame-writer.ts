import type { Socket } from 'node:net';
import type { MessageProperties } from '../../message/message.ts';
import { FieldTooLargeError, FieldWriter } from './field-writer.ts';
import { CONTENT_CLASS, FRAME, FRAME_END, FRAME_HEAD_BYTES, FRAME_OVERHEAD_BYTES, METHOD } from './protocol.ts';
import { MAX_HEADER_BYTES, writeProperties } from './write-properties.ts';

/** Written to the system at once; larger gains nothing, and each has to be found in memory. */
const SLAB_BYTES = 64 * 1024;
/** Larger pieces of a body go to the socket as they are instead of being copied. */
const COPY_LIMIT_BYTES = 16 * 1024;
/** Properties of short texts and names beside the headers: 13 of 256 bytes at the most. */
const SCRATCH_BYTES = MAX_HEADER_BYTES + 8 * 1024;
const MANDATORY = 1;
const MULTIPLE = 1;
const REQUEUE = 1;

/** Before the frame of a message is where it goes, it is written here: it may turn out that it cannot be. */
const scratch = new FieldWriter(SCRATCH_BYTES);

/** A message that can be written: its names are short enough. */
export interface OutgoingMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly properties: MessageProperties;
  /** The broker gives it back when no queue takes it. */
  readonly isMandatory: boolean;
}

/**
 * Writes the frames that there are many of: messages, acks and rejects. They are gathered in one block of bytes and written
 * at the end of the turn; amqplib takes each through three queues on its way to the socket. What it writes itself (heartbeats
 * from a timer, say) may stand between any two messages: so none is left half written when the turn goes on. Not behind
 * them: flush before amqplib closes a channel.
 */
export class FrameWriter {
  readonly #socket: Socket;
  /** A frame's, head and end included. */
  readonly #maxFrameBytes: number;
  #slab: Buffer = Buffer.alloc(0);
  #from = 0;
  #at = 0;
  #isScheduled = false;
  #isCorked = false;
  /** Something of the message that is being written is the socket's already. */
  #isBegun = false;

  /** @param maxFrameBytes as agreed upon with the broker; 0 is without limit */
  constructor(socket: Socket, maxFrameBytes: number) {
    this.#socket = socket;
    this.#maxFrameBytes = maxFrameBytes > 0 ? maxFrameBytes : Number.MAX_SAFE_INTEGER;
  }

  /** @throws TypeError, FieldTooLargeError, with nothing written */
  publish(channel: number, { exchange, routingKey, content, isMandatory, properties }: OutgoingMessage): void {
    scratch.at = 0;
    const methodFrom = beginFrame(FRAME.method, channel);
    scratch.uint32(METHOD.publish);
    scratch.uint16(0);
    scratch.shortText('the exchange', exchange);
    scratch.shortText('the routing key', routingKey);
    scratch.uint8(isMandatory ? MANDATORY : 0);
    endFrame(methodFrom);
    const headerFrom = beginFrame(FRAME.header, channel);
    scratch.uint16(CONTENT_CLASS);
    scratch.uint16(0);
    scratch.uint64(content.length);
    writeProperties(scratch, properties);
    endFrame(headerFrom);
    // A content header is one frame (§4.2.6.1); the broker would end the connection, with all that is under way on it.
    if (scratch.at - headerFrom + FRAME_HEAD_BYTES > this.#maxFrameBytes) {
      throw new FieldTooLargeError('no room for the headers in a frame', this.#maxFrameBytes);
    }
    this.#makeRoom(scratch.at + FRAME_OVERHEAD_BYTES + content.length);
    this.#isBegun = false;
    this.#copy(scratch.bytes, scratch.at);
    const bodyRoom = this.#maxFrameBytes - FRAME_OVERHEAD_BYTES;
    for (let at = 0; at < content.length; at += bodyRoom) {
      this.#body(channel, content.subarray(at, at + bodyRoom));
    }
    if (this.#isBegun) this.flush();
    this.#schedule();
  }

  /** @param isMultiple all up to this one */
  ack(channel: number, tag: number, isMultiple: boolean): void {
    this.#settle(channel, METHOD.ack, tag, isMultiple ? MULTIPLE : 0);
  }

  /** Back to the queue. `reject`, not `nack`: from RabbitMQ 4.3 on the latter counts as no failed delivery on quorum queues. */
  reject(channel: number, tag: number): void {
    this.#settle(channel, METHOD.reject, tag, REQUEUE);
  }

  /** Gives the socket what was gathered. */
  flush(): void {
    const bytes = this.#slab.subarray(this.#from, this.#at);
    this.#from = this.#at;
    // Of a connection that is over amqplib tells its channels.
    if (bytes.length === 0) return;
    this.#isBegun = true;
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  #settle(channel: number, method: number, tag: number, flag: number): void {
    scratch.at = 0;
    const from = beginFrame(FRAME.method, channel);
    scratch.uint32(method);
    scratch.uint64(tag);
    scratch.uint8(flag);
    endFrame(from);
    this.#copy(scratch.bytes, scratch.at);
    this.#schedule();
  }

  #body(channel: number, bytes: Buffer): void {
    scratch.at = 0;
    scratch.uint8(FRAME.body);
    scratch.uint16(channel);
    scratch.uint32(bytes.length);
    this.#copy(scratch.bytes, FRAME_HEAD_BYTES);
    if (bytes.length <= COPY_LIMIT_BYTES) {
      this.#copy(bytes, bytes.length);
    } else {
      if (!this.#isCorked) this.#socket.cork();
      this.#isCorked = true;
      this.flush();
      if (this.#socket.writable) this.#socket.write(bytes);
    }
    scratch.bytes[0] = FRAME_END;
    this.#copy(scratch.bytes, 1);
  }

  /** Of a message that fits into one block all goes into the same. */
  #makeRoom(length: number): void {
    if (length > this.#slab.length - this.#at && length <= SLAB_BYTES) this.#newSlab(SLAB_BYTES);
  }

  #newSlab(length: number): void {
    this.flush();
    // A new one: the last is the socket's until the system has taken it.
    this.#slab = Buffer.allocUnsafeSlow(length);
    this.#from = 0;
    this.#at = 0;
  }

  #copy(bytes: Buffer, length: number): void {
    if (length > this.#slab.length - this.#at) this.#newSlab(Math.max(SLAB_BYTES, length));
    bytes.copy(this.#slab, this.#at, 0, length);
    this.#at += length;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flushSoon);
  }

  readonly #flushSoon = () => {
    this.#isScheduled = false;
    this.flush();
    if (this.#isCorked) this.#socket.uncork();
    this.#isCorked = false;
  };
}

function beginFrame(type: number, channel: number): number {
  scratch.uint8(type);
  scratch.uint16(channel);
  return scratch.beginSized();
}

function endFrame(from: number): void {
  scratch.endSized(from);
  scratch.uint8(FRAME_END);
}
