import { type ChannelListener, Content } from './content.ts';
import { UnreadableFrameError } from './field-reader.ts';
import { FRAME, FRAME_END, FRAME_HEAD_BYTES, FRAME_OVERHEAD_BYTES, METHOD } from './protocol.ts';
import { makeReadable } from './readable-headers.ts';
import { TextMemo } from './text-memo.ts';

const METHOD_BYTES = 4;
const OURS: ReadonlySet<number> = new Set([METHOD.deliver, METHOD.returned, METHOD.ack, METHOD.nack]);

/**
 * Follows the frames of a stream: those that there are many of it reads itself, of the channels that asked for it; the
 * others are for amqplib. It goes on behind one of its own only when it is asked for more, so that all frames take effect in
 * the order in which they came.
 */
export class FrameReader {
  readonly #channels = new Map<number, Content>();
  readonly #memo = new TextMemo();
  readonly #maxFrameBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Bytes of a frame that is not ours, still to come. */
  #foreign = 0;
  /** Of a body of ours: bytes still to come, and its channel. */
  #body: { readonly content: Content; missing: number } | undefined;

  /** @param maxFrameBytes as agreed upon with the broker; 0 is without limit */
  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  take(channel: number, listener: ChannelListener): void {
    this.#channels.set(channel, new Content(listener, this.#memo));
  }

  leave(channel: number): void {
    this.#channels.delete(channel);
  }

  /** Takes what has come, once `next` has returned undefined. */
  push(chunk: Buffer): void {
    const isReadUp = this.#at === this.#bytes.length;
    this.#bytes = isReadUp ? chunk : Buffer.concat([this.#bytes.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /**
   * Deals with frames of ours up to the first that is not.
   * @returns that one and those behind it, as far as they have come; undefined when more has to come
   * @throws UnreadableFrameError
   */
  next(): Buffer | undefined {
    for (;;) {
      if (this.#body && !this.#readBody(this.#body)) return undefined;
      const foreign = this.#passForeign();
      if (foreign) return foreign;
      if (!this.#readFrame()) return undefined;
    }
  }

  get #available(): number {
    return this.#bytes.length - this.#at;
  }

  #passForeign(): Buffer | undefined {
    const from = this.#at;
    while (this.#available > 0) {
      if (this.#foreign === 0) {
        const size = this.#frameBytes();
        if (size === undefined || this.#isOurs() !== false) break;
        if (this.#bytes[this.#at] === FRAME.header) {
          if (size > this.#available) break;
          makeReadable(this.#bytes.subarray(this.#at + FRAME_HEAD_BYTES, this.#at + size - 1));
        }
        this.#foreign = size;
      }
      const passed = Math.min(this.#foreign, this.#available);
      this.#foreign -= passed;
      this.#at += passed;
    }
    return this.#at > from ? this.#bytes.subarray(from, this.#at) : undefined;
  }

  /** @returns false when the frame has not come whole, nor enough of a body to go on with */
  #readFrame(): boolean {
    const size = this.#frameBytes();
    if (size === undefined || this.#isOurs() !== true) return false;
    const content = this.#content();
    if (content === undefined) return false;
    this.#checkSize(size);
    const at = this.#at + FRAME_HEAD_BYTES;
    if (this.#bytes[this.#at] === FRAME.body) {
      this.#body = { content, missing: size - FRAME_OVERHEAD_BYTES };
      this.#at = at;
      return true;
    }
    if (size > this.#available) return false;
    const end = this.#at + size - 1;
    this.#checkEnd(end);
    const isMethod = this.#bytes[this.#at] === FRAME.method;
    this.#at = end + 1;
    if (isMethod) content.method(this.#bytes.readUInt32BE(at), this.#bytes, at + METHOD_BYTES, end);
    else content.header(this.#bytes, at, end);
    return true;
  }

  /** @returns whether it has come to its end */
  #readBody(body: { readonly content: Content; missing: number }): boolean {
    const { content, missing } = body;
    // The last piece goes on with the byte behind it, so that nothing takes effect of a frame that is broken.
    if (this.#available <= missing) {
      const until = this.#available < missing ? this.#bytes.length : Math.max(this.#at, this.#bytes.length - 1);
      const piece = this.#bytes.subarray(this.#at, until);
      body.missing -= piece.length;
      this.#at = until;
      if (piece.length > 0) content.body(piece);
      return false;
    }
    const end = this.#at + missing;
    this.#checkEnd(end);
    const piece = this.#bytes.subarray(this.#at, end);
    this.#at = end + 1;
    this.#body = undefined;
    content.body(piece);
    return true;
  }

  /** Head and end included; undefined while the head has not come. */
  #frameBytes(): number | undefined {
    if (this.#available < FRAME_HEAD_BYTES) return undefined;
    return this.#bytes.readUInt32BE(this.#at + 3) + FRAME_OVERHEAD_BYTES;
  }

  #content(): Content | undefined {
    return this.#channels.get(this.#bytes.readUInt16BE(this.#at + 1));
  }

  /** undefined while too little of it has come to tell. */
  #isOurs(): boolean | undefined {
    const content = this.#content();
    if (content === undefined) return false;
    switch (this.#bytes[this.#at]) {
      case FRAME.method:
        if (this.#available < FRAME_HEAD_BYTES + METHOD_BYTES) return undefined;
        return OURS.has(this.#bytes.readUInt32BE(this.#at + FRAME_HEAD_BYTES));
      case FRAME.header:
      case FRAME.body:
        return content.isOpen;
      default:
        return false;
    }
  }

  #checkSize(size: number): void {
    const max = this.#maxFrameBytes;
    if (max > 0 && size > max + FRAME_OVERHEAD_BYTES) {
      throw new UnreadableFrameError(`a frame has ${size} bytes, and ${max} were agreed upon`);
    }
  }

  #checkEnd(at: number): void {
    if (this.#bytes[at] !== FRAME_END) throw new UnreadableFrameError('a frame does not end where it says');
  }
}
