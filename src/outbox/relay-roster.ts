import type { Beat } from './sql/membership.ts';

/** How long one that was not seen to beat is believed to live, whatever the table says, in ms; at most. */
const UNSEEN_MS = 60_000;

export interface RelayRosterOptions {
  /** Of the own relay, which beats three times in it. */
  readonly leaseMs: number;
}

interface Sighting {
  readonly until: string;
  /** On the monotonic clock. */
  readonly endsAtMs: number;
}

/**
 * Which relays live, by what was seen of their beats. When the database's clock steps back, what a dead one had left to
 * live lies ahead once more: it would have its share for as long as the step, and nobody took that. So a beat that stays the
 * same lives as long as it had when it was first seen, by the monotonic clock, and what was there before the first look
 * for a minute, or two leases.
 */
export class RelayRoster {
  readonly #unseenMs: number;
  #sightings = new Map<string, Sighting>();

  constructor({ leaseMs }: RelayRosterOptions) {
    this.#unseenMs = Math.max(UNSEEN_MS, 2 * leaseMs);
  }

  /**
   * @param beats all that the table has, also those that have run out: they are known when they come to lie ahead again
   * @param nowMs on the monotonic clock, from before the table was asked
   * @returns who lives
   */
  look(beats: readonly Beat[], nowMs: number): ReadonlySet<string> {
    const before = this.#sightings;
    this.#sightings = new Map(beats.map((beat) => [beat.owner, this.#sighting(beat, before.get(beat.owner), nowMs)]));
    const lives = ({ owner, leftMs }: Beat) => leftMs > 0 && nowMs < (this.#sightings.get(owner)?.endsAtMs ?? 0);
    return new Set(beats.filter(lives).map(({ owner }) => owner));
  }

  #sighting({ until, leftMs }: Beat, last: Sighting | undefined, nowMs: number): Sighting {
    if (last?.until === until) return last;
    return { until, endsAtMs: nowMs + (last ? leftMs : Math.min(leftMs, this.#unseenMs)) };
  }
}
