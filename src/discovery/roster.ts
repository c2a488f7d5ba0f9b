import type { Clock } from '../lifecycle/clock.ts';
import type { Announcement, Beat } from './announcement.ts';
import type { ServiceDescription } from './description.ts';

/** An instance that beats. */
export interface PresentInstance extends Omit<Beat, 'protocol'> {
  /** undefined: it has been heard of, and has not told yet. */
  readonly description: ServiceDescription | undefined;
}

interface Entry {
  beat: Beat;
  description: ServiceDescription | undefined;
  /** Of the description that we have. */
  digest: string | undefined;
  bytes: number;
  heardMs: number;
  askedMs: number;
}

/** Beats that may be missed: of three in a row one is late when the other two are lost. */
const BEATS_UNTIL_GONE = 2.5;
/** One that answers nothing is not asked all the time. */
const ASK_AGAIN_MS = 5_000;

/** Bounds on what is remembered: whoever may use the broker can make instances up. */
export interface RosterLimits {
  readonly instances: number;
  /** Of all announcements together, as they came. */
  readonly bytes: number;
}

export const DEFAULT_ROSTER_LIMITS: RosterLimits = Object.freeze({ instances: 2_000, bytes: 16 * 1024 * 1024 });

/**
 * Who is there, by what has been heard. Whether somebody is gone is decided by the own clock, from when it was last
 * heard here: what clock a sender has does not matter. Nothing runs: what is old is left out, and taken out at the next
 * word.
 */
export class Roster {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #limits: RosterLimits;
  #bytes = 0;
  #isDeaf = false;

  constructor(clock: Pick<Clock, 'monotonicMs'>, limits: RosterLimits = DEFAULT_ROSTER_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** @returns whether it should be asked what it is */
  beat(beat: Beat): boolean {
    const entry = this.#heard(beat);
    const nowMs = this.#clock.monotonicMs();
    if (!entry || entry.digest === beat.digest || nowMs - entry.askedMs < ASK_AGAIN_MS) return false;
    entry.askedMs = nowMs;
    return true;
  }

  /** @param bytes length of the announcement as it came */
  announced({ description, ...beat }: Announcement, bytes: number): void {
    const entry = this.#heard(beat);
    if (!entry || this.#bytes - entry.bytes + bytes > this.#limits.bytes) return;
    this.#bytes += bytes - entry.bytes;
    Object.assign(entry, { description, digest: beat.digest, bytes });
  }

  left(instance: string): void {
    this.#bytes -= this.#entries.get(instance)?.bytes ?? 0;
    this.#entries.delete(instance);
  }

  /** Nothing can be heard for now: nobody goes for not being heard. */
  deaf(): void {
    this.#isDeaf = true;
  }

  /** They have all their time again: they had lost the broker as well, perhaps. */
  hearing(): void {
    this.#isDeaf = false;
    const nowMs = this.#clock.monotonicMs();
    for (const entry of this.#entries.values()) entry.heardMs = nowMs;
  }

  /** By name, the oldest of a name first. */
  get present(): readonly PresentInstance[] {
    this.#forgetGone();
    return [...this.#entries.values()]
      .map(({ beat: { protocol: _, ...beat }, description }) => ({ ...beat, description }))
      .sort((a, b) => compare(a.name, b.name) || compare(sinceOf(a), sinceOf(b)) || compare(a.instance, b.instance));
  }

  #heard(beat: Beat): Entry | undefined {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#entries.get(beat.instance);
    if (known) {
      known.beat = beat;
      known.heardMs = nowMs;
      return known;
    }
    this.#forgetGone();
    if (this.#entries.size >= this.#limits.instances) return undefined;
    const entry: Entry = {
      beat,
      description: undefined,
      digest: undefined,
      bytes: 0,
      heardMs: nowMs,
      askedMs: Number.NEGATIVE_INFINITY,
    };
    this.#entries.set(beat.instance, entry);
    return entry;
  }

  #forgetGone(): void {
    if (this.#isDeaf) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [instance, { heardMs, beat }] of this.#entries) {
      if (nowMs - heardMs >= beat.everyMs * BEATS_UNTIL_GONE) this.left(instance);
    }
  }
}

const sinceOf = ({ description }: PresentInstance): string => description?.since ?? '';

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
