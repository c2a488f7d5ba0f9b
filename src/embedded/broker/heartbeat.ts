/** Looks in this many times per interval. */
const LOOKS_PER_INTERVAL = 2;
/** Intervals of silence after which a peer is taken for dead. */
const SILENT_INTERVALS = 2;

export interface HeartbeatHost {
  /** Whether anything was sent since the last call. */
  takeSent(): boolean;
  /** Whether anything was received since the last call. */
  takeReceived(): boolean;
  sendHeartbeat(): void;
  /** Nothing came for two intervals. */
  peerIsDead(): void;
}

/** Heartbeats of one connection: sends one after half an interval of silence, ends it after two without a sign. */
export class Heartbeat {
  readonly #timer: NodeJS.Timeout | undefined;
  #silentLooks = 0;

  /** @param intervalSeconds 0 for none */
  constructor(intervalSeconds: number, host: HeartbeatHost) {
    if (intervalSeconds === 0) return;
    this.#timer = setInterval(() => this.#look(host), (intervalSeconds * 1000) / LOOKS_PER_INTERVAL);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(host: HeartbeatHost): void {
    if (!host.takeSent()) host.sendHeartbeat();
    this.#silentLooks = host.takeReceived() ? 0 : this.#silentLooks + 1;
    if (this.#silentLooks < SILENT_INTERVALS * LOOKS_PER_INTERVAL) return;
    this.stop();
    host.peerIsDead();
  }
}
