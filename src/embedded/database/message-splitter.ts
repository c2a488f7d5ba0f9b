/** A message of PostgreSQL's protocol after the start-up: its type's letter, and all its bytes. */
export interface WireMessage {
  readonly type: string;
  /** With type and length. */
  readonly bytes: Buffer;
}

/** Type and length, which counts itself. */
export const HEAD_BYTES = 5;
const LEAST_LENGTH = 4;

/** The peer does not speak PostgreSQL's protocol: nothing that follows can be read. */
export class MalformedMessage extends Error {}

/** Cuts a stream of bytes into messages (PostgreSQL, "Frontend/Backend Protocol", message formats). */
export class MessageSplitter {
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);

  /** @param maxBytes a longer message is malformed */
  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.#maxBytes = maxBytes;
  }

  /** @throws MalformedMessage */
  *push(chunk: Uint8Array): Generator<WireMessage> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= HEAD_BYTES) {
      const length = this.#rest.readInt32BE(1);
      if (length < LEAST_LENGTH || length > this.#maxBytes) throw new MalformedMessage(`a message of ${length} bytes`);
      if (this.#rest.length < length + 1) return;
      const message = this.#rest.subarray(0, length + 1);
      this.#rest = this.#rest.subarray(length + 1);
      yield { type: String.fromCharCode(message[0] ?? 0), bytes: message };
    }
  }
}
