import type { Socket } from 'node:net';

/** A client that does not get through the handshake is cut off after this time. */
const HANDSHAKE_MS = 10_000;
/** One that does not answer our close, or does not end its socket, after this. */
const CLOSE_MS = 5_000;

/** The end of a client's socket, and the patience before it. */
export class Farewell {
  readonly #socket: Socket;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  unlessGreeted(cutOff: () => void): void {
    this.#wait(HANDSHAKE_MS, cutOff);
  }

  unlessAnswered(cutOff: () => void): void {
    this.#wait(CLOSE_MS, cutOff);
  }

  calledOff(): void {
    clearTimeout(this.#timer);
  }

  /** Sends what is written, then ends the socket. */
  hangUp(): void {
    this.#socket.end();
    // What the client still sends is read and dropped: unread bytes would reset the socket under our last frames.
    this.#socket.resume();
    this.#wait(CLOSE_MS, () => this.#socket.destroy());
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
