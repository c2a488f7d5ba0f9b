import type { Socket } from 'node:net';
import type { ConnectionHost } from './connection-host.ts';
import type { Output } from './output.ts';

/** A peer that lets this much of its own replies lie unread is not listened to any more until it reads. */
const UNREAD_LIMIT_BYTES = 16 * 1024 * 1024;

/** Decides whether a client is listened to: it waits when it publishes more than there is room for, or does not read. */
export class ReadGate {
  readonly #socket: Socket;
  readonly #output: Output;
  readonly #host: ConnectionHost;
  #isPaused = false;
  #isToldBlocked = false;

  constructor(socket: Socket, output: Output, host: ConnectionHost) {
    this.#socket = socket;
    this.#output = output;
    this.#host = host;
  }

  /** While the client is not read, it cannot show that it is alive. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * @param hasPublished only publishers wait for memory
   * @param wantsWord the client understands `connection.blocked`
   */
  regulate(hasPublished: boolean, wantsWord: boolean): void {
    const isBlocked = hasPublished && this.#host.isBlocked;
    if (wantsWord && isBlocked !== this.#isToldBlocked) {
      this.#isToldBlocked = isBlocked;
      if (isBlocked) this.#output.method(0, 'connection.blocked', { reason: 'low on memory' });
      else this.#output.method(0, 'connection.unblocked', {});
    }
    const isOverBudget = hasPublished && this.#host.budget.isOver;
    if (isBlocked || isOverBudget || this.#output.unwrittenBytes >= UNREAD_LIMIT_BYTES) this.#pause();
    else this.open();
  }

  open(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }
}
