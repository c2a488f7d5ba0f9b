import type { Clock } from '../../lifecycle/clock.ts';

/** Longest that Node's timers wait. */
const MAX_WAIT_MS = 2_147_483_647;

/** Deadlines on a clock that tests may move: `runDue` looks at all of them again. */
export class Alarms {
  readonly #clock: Clock;
  readonly #set = new Set<Alarm>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  create(ring: () => void): Alarm {
    return new Alarm(this.#clock, this.#set, ring);
  }

  /** Rings every alarm whose time has come. Call it after the clock was moved. */
  runDue(): void {
    for (const alarm of [...this.#set]) alarm.check();
  }
}

/** Rings once at the time set. */
export class Alarm {
  readonly #clock: Clock;
  readonly #all: Set<Alarm>;
  readonly #ring: () => void;
  #at: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(clock: Clock, all: Set<Alarm>, ring: () => void) {
    this.#clock = clock;
    this.#all = all;
    this.#ring = ring;
  }

  /** @param at clock time in ms; `undefined` never */
  set(at: number | undefined): void {
    if (at === this.#at) return;
    clearTimeout(this.#timer);
    this.#at = at;
    if (at === undefined) {
      this.#all.delete(this);
      return;
    }
    this.#all.add(this);
    this.#timer = setTimeout(() => this.check(), Math.min(Math.max(0, at - this.#clock.now()), MAX_WAIT_MS));
  }

  check(): void {
    const at = this.#at;
    if (at === undefined) return;
    this.set(undefined);
    if (at <= this.#clock.now()) this.#ring();
    else this.set(at);
  }
}
