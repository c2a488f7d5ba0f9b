import type { Socket } from 'node:net';
import { ByteWriter } from './byte-writer.ts';
import { CONTENT_CLASS, FRAME, FRAME_END, FRAME_OVERHEAD_BYTES } from './frame.ts';
import type { Message } from './message.ts';
import { writeMethod } from './method-codec.ts';
import type { MethodArguments, MethodName } from './method-table.ts';
import type { OutputBudget } from './output-budget.ts';

/** Larger pieces of a body are handed to the socket as they are instead of being copied. */
const COPY_LIMIT_BYTES = 16 * 1024;
/** What is gathered before the socket gets it, even within one turn of the event loop. */
const BATCH_BYTES = 128 * 1024;

const SLAB_BYTES = 32 * 1024;

type ContentMethod = 'basic.deliver' | 'basic.return' | 'basic.get-ok';

/** Frames on their way out: gathered during a turn of the event loop, then written at once. */
export class Output {
  readonly #socket: Socket;
  readonly #budget: OutputBudget;
  readonly #writer = new ByteWriter(SLAB_BYTES);
  #parts: Buffer[] = [];
  #partBytes = 0;
  #isScheduled = false;
  #isClosed = false;
  /** Largest frame that the peer takes, overhead included. */
  maxFrameBytes: number;
  readonly #isKept: () => boolean;
  #hasWritten = false;

  /** @param isKept writes down what the output tells of; false when it cannot: then it is not told */
  constructor(socket: Socket, budget: OutputBudget, maxFrameBytes: number, isKept: () => boolean = () => true) {
    this.#isKept = isKept;
    this.#socket = socket;
    this.#budget = budget;
    this.maxFrameBytes = maxFrameBytes;
  }

  /** False while the peer reads more slowly than we write: deliveries wait for `drain`. */
  get isWritable(): boolean {
    return !this.#isClosed && !this.#socket.writableNeedDrain;
  }

  /** Bytes that the operating system has not taken yet. */
  get unwrittenBytes(): number {
    return this.#socket.writableLength + this.#partBytes + this.#writer.length;
  }

  raw(bytes: Buffer): void {
    this.#writer.bytes(bytes);
    this.#schedule();
  }

  method<Name extends MethodName>(channel: number, name: Name, args: MethodArguments<Name>): void {
    const from = this.#begin(FRAME.method, channel);
    writeMethod(this.#writer, name, args);
    this.#end(from);
    this.#schedule();
  }

  /** A method with content. */
  message<Name extends ContentMethod>(
    channel: number,
    name: Name,
    args: MethodArguments<Name>,
    { body, encodedProperties }: Pick<Message, 'body' | 'encodedProperties'>,
  ): void {
    this.method(channel, name, args);
    const from = this.#begin(FRAME.header, channel);
    this.#writer.uint16(CONTENT_CLASS);
    this.#writer.uint16(0);
    this.#writer.uint64(body.length);
    this.#writer.bytes(encodedProperties);
    this.#end(from);
    const room = this.maxFrameBytes - FRAME_OVERHEAD_BYTES;
    for (let at = 0; at < body.length; at += room) this.#body(channel, body.subarray(at, at + room));
    if (this.#partBytes + this.#writer.length > BATCH_BYTES) this.flush();
  }

  heartbeat(): void {
    this.#end(this.#begin(FRAME.heartbeat, 0));
    this.flush();
  }

  flush(): void {
    this.#isScheduled = false;
    if (this.#isClosed) return;
    this.#seal();
    const parts = this.#parts;
    if (parts.length === 0) return;
    if (!this.#isKept()) {
      this.close();
      return;
    }
    this.#parts = [];
    this.#partBytes = 0;
    this.#hasWritten = true;
    if (parts.length > 1) this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    if (parts.length > 1) this.#socket.uncork();
    if (this.#socket.writableNeedDrain) this.#budget.set(this, this.#socket.writableLength);
  }

  /** Whether anything was written since the last call: a heartbeat would say no more. */
  takeWritten(): boolean {
    const hasWritten = this.#hasWritten;
    this.#hasWritten = false;
    return hasWritten;
  }

  drained(): void {
    this.#budget.set(this, 0);
  }

  /** Nothing is written any more. */
  close(): void {
    this.#isClosed = true;
    this.#parts = [];
    this.#budget.set(this, 0);
  }

  #begin(type: number, channel: number): number {
    this.#writer.uint8(type);
    this.#writer.uint16(channel);
    return this.#writer.beginSized();
  }

  #end(from: number): void {
    this.#writer.endSized(from);
    this.#writer.uint8(FRAME_END);
  }

  #body(channel: number, bytes: Buffer): void {
    const from = this.#begin(FRAME.body, channel);
    if (bytes.length <= COPY_LIMIT_BYTES) {
      this.#writer.bytes(bytes);
      this.#end(from);
      return;
    }
    this.#writer.patchSize(from, bytes.length);
    this.#seal();
    this.#parts.push(bytes);
    this.#partBytes += bytes.length;
    this.#writer.uint8(FRAME_END);
  }

  #seal(): void {
    if (this.#writer.length === 0) return;
    const bytes = this.#writer.take();
    this.#parts.push(bytes);
    this.#partBytes += bytes.length;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      if (this.#isScheduled) this.flush();
    });
  }
}
