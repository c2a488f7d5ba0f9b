import { Heartbeat } from './heartbeat.ts';
import type { Output } from './output.ts';
import type { ReadGate } from './read-gate.ts';

/** Signs of life on one connection, once its heartbeat is agreed. */
export class Pulse {
  readonly #output: Output;
  readonly #gate: ReadGate;
  readonly #onDead: () => void;
  #heartbeat: Heartbeat | undefined;
  #hasReceived = false;

  constructor(output: Output, gate: ReadGate, onDead: () => void) {
    this.#output = output;
    this.#gate = gate;
    this.#onDead = onDead;
  }

  /** @param intervalSeconds 0 for no heartbeats */
  start(intervalSeconds: number): void {
    this.#heartbeat = new Heartbeat(intervalSeconds, {
      takeSent: () => this.#output.takeWritten(),
      takeReceived: () => this.#takeReceived(),
      sendHeartbeat: () => this.#output.heartbeat(),
      peerIsDead: this.#onDead,
    });
  }

  /** Bytes came. */
  received(): void {
    this.#hasReceived = true;
  }

  stop(): void {
    this.#heartbeat?.stop();
  }

  /** A connection that we do not read cannot show its heartbeats. */
  #takeReceived(): boolean {
    const hasReceived = this.#hasReceived || this.#gate.isPaused;
    this.#hasReceived = false;
    return hasReceived;
  }
}
