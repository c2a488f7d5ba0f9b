import { describeFrame, FRAME_END, FRAME_HEAD_BYTES, FRAME_OVERHEAD_BYTES } from './frame.ts';
import { ProtocolError } from './protocol-error.ts';

/** The payload is a view that is only good during the call. */
export type FrameHandler = (type: number, channel: number, payload: Buffer) => void;

/** Cuts a stream of bytes into frames, whatever chunks it comes in. */
export class FrameReader {
  /** Largest frame, overhead included. */
  maxFrameBytes: number;
  #chunks: Buffer[] = [];
  #held = 0;
  #needed = FRAME_HEAD_BYTES;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  /** @throws ProtocolError 501 for a frame that is too large or has no frame end */
  push(chunk: Buffer, onFrame: FrameHandler): void {
    const bytes = this.#join(chunk);
    if (!bytes) return;
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const size = bytes.readUInt32BE(at + 3);
      const type = bytes.readUInt8(at);
      // As RabbitMQ: some clients forget that the limit includes the overhead.
      if (size > this.maxFrameBytes) {
        throw new ProtocolError(
          'FRAME_ERROR',
          `type ${type}, all octets = <<>>: {frame_too_large,${size},${this.maxFrameBytes - FRAME_OVERHEAD_BYTES}}`,
        );
      }
      const end = at + FRAME_HEAD_BYTES + size;
      if (bytes.length <= end) {
        this.#hold(bytes, at, size + FRAME_OVERHEAD_BYTES);
        return;
      }
      const payload = bytes.subarray(at + FRAME_HEAD_BYTES, end);
      if (bytes[end] !== FRAME_END) throw badFrameEnd(type, payload, bytes.readUInt8(end));
      onFrame(type, bytes.readUInt16BE(at + 1), payload);
      at = end + 1;
    }
    this.#hold(bytes, at, FRAME_HEAD_BYTES);
  }

  #join(chunk: Buffer): Buffer | undefined {
    if (this.#held === 0) return chunk;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held < this.#needed) return undefined;
    const bytes = Buffer.concat(this.#chunks, this.#held);
    this.#chunks = [];
    this.#held = 0;
    return bytes;
  }

  #hold(bytes: Buffer, from: number, needed: number): void {
    this.#needed = needed;
    if (from >= bytes.length) return;
    this.#chunks = [bytes.subarray(from)];
    this.#held = bytes.length - from;
  }
}

const badFrameEnd = (type: number, payload: Buffer, end: number): ProtocolError =>
  new ProtocolError('FRAME_ERROR', `${describeFrame(type, payload)}: {invalid_frame_end_marker,${end}}`);
