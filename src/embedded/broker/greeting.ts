/** `AMQP 0 0 9 1`, and what older clients of the same protocol send. */
const PROTOCOL_HEADERS = [
  [0, 0, 9, 1],
  [1, 1, 0, 9],
  [1, 1, 9, 1],
].map((version) => Buffer.from([...Buffer.from('AMQP'), ...version]));

/** What a client of another protocol is told before it is hung up. */
export const PROTOCOL_HEADER = Buffer.from([...Buffer.from('AMQP'), 0, 0, 9, 1]);

/** Reads the first eight bytes of a client, in whatever chunks they come. */
export class Greeting {
  #bytes = Buffer.alloc(0);

  /** @returns what follows the header, `undefined` while it is not complete, `'refused'` when it is another */
  push(chunk: Buffer): Buffer | undefined | 'refused' {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes.length < PROTOCOL_HEADER.length) return undefined;
    const header = this.#bytes.subarray(0, PROTOCOL_HEADER.length);
    if (!PROTOCOL_HEADERS.some((known) => known.equals(header))) return 'refused';
    return this.#bytes.subarray(PROTOCOL_HEADER.length);
  }
}
