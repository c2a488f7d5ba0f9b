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
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  /** As many bytes as the next message is known to need: putting pieces together before then would be for nothing. */
  #wanted = HEAD_BYTES;

  /** @param maxBytes a longer message is malformed */
  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.#maxBytes = maxBytes;
  }

  /** @throws MalformedMessage */
  *push(chunk: Uint8Array): Generator<WireMessage> {
    this.#keep(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    while (this.#pieceBytes >= this.#wanted) {
      const rest = this.#together();
      const length = rest.readInt32BE(1);
      if (length < LEAST_LENGTH || length > this.#maxBytes) throw new MalformedMessage(`a message of ${length} bytes`);
      this.#wanted = length + 1;
      if (rest.length < this.#wanted) return;
      const message = rest.subarray(0, this.#wanted);
      this.#pieces = [];
      this.#pieceBytes = 0;
      this.#keep(rest.subarray(this.#wanted));
      this.#wanted = HEAD_BYTES;
      yield { type: String.fromCharCode(message[0] ?? 0), bytes: message };
    }
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
  }

  #together(): Buffer {
    const [first = Buffer.alloc(0), ...others] = this.#pieces;
    if (others.length === 0) return first;
    const whole = Buffer.concat(this.#pieces, this.#pieceBytes);
    this.#pieces = [whole];
    return whole;
  }
}
