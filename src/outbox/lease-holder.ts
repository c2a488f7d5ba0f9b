import type { SqlExecutor } from '../database/executor.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { LeaseGrant } from './lease-grant.ts';
import { PARTITIONS } from './relay-options.ts';
import { RelayRoster } from './relay-roster.ts';
import { type LeaseRow, prepareLease } from './sql/lease.ts';
import { prepareMembership } from './sql/membership.ts';

export interface LeaseHolderOptions {
  readonly db: SqlExecutor;
  readonly owner: string;
  readonly schema: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Rows of a partition that are sent and not settled: a partition is given back when there are none, or after a lease. */
  readonly unsettled: (part: number) => number;
  /** Partitions came or went: what was read under revoked grants is void, and the table must be read from its start. */
  readonly onChange: () => void;
}

/** A grant that is to be given back. */
interface Draining {
  readonly grant: LeaseGrant;
  /** On the monotonic clock: then it is given back whatever is unsettled. */
  readonly untilMs: number;
}

/** How much earlier than the lease ends we stop to publish: room for a message on its way to the broker. */
const MARGIN_SHARE = 0.1;

/** How often to look for partitions that ran out, and for relays that came or went; at most. */
const CENSUS_MS = 1000;

/**
 * How long to wait between two looks, in ms. Leases are renewed at one of them: the first behind a third of the lease has to
 * come well before its end, also of the shortest.
 */
export const censusMs = (leaseMs: number): number => Math.min(CENSUS_MS, leaseMs / 4);

/**
 * Which partitions this relay may work on. `runOnce` does all: it renews a third of the way through the lease, takes
 * what has run out up to a fair share of the relays that live, and hands over what is above it.
 *
 *            acquire                surplus                nothing unsettled, or a lease later
 *   (free) ──────────▶ granted ──────────────▶ draining ──────────────────────────────────▶ (given back)
 *     ▲                   │ renewal says: not ours     │
 *     └───────────────────┴────────────────────────────┘
 *
 * What is unsettled then is published again by whoever takes the partition, as after a death: nobody publishes a partition
 * that drains, and what somebody has locked, or the broker does not confirm, may stay so for hours.
 *
 * A grant that was not renewed in time stops being live by itself; when a later renewal finds that nobody took the
 * partition, it begins a new grant.
 */
export class LeaseHolder {
  readonly #options: LeaseHolderOptions;
  readonly #leases: ReturnType<typeof prepareLease>;
  readonly #membership: ReturnType<typeof prepareMembership>;
  readonly #roster: RelayRoster;
  readonly #granted = new Map<number, LeaseGrant>();
  readonly #draining = new Map<number, Draining>();
  #members: ReadonlySet<string> = new Set();
  #renewedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeaseHolderOptions) {
    this.#options = options;
    this.#leases = prepareLease(options.schema);
    this.#membership = prepareMembership(options.schema);
    this.#roster = new RelayRoster(options);
  }

  /** Relays that lived at the last look. */
  get members(): ReadonlySet<string> {
    return this.#members;
  }

  /** Grants that may be read and published under now. */
  live(): LeaseGrant[] {
    const now = this.#options.clock.monotonicMs();
    return [...this.#granted.values()].filter((grant) => grant.isLive(now));
  }

  async runOnce(): Promise<void> {
    const { db, owner, leaseMs, clock } = this.#options;
    if (clock.monotonicMs() - this.#renewedAtMs >= leaseMs / 3) {
      // before the leases, so that a dead relay leaves the list no later than its partitions run out
      await this.#membership.beat(db, owner, leaseMs);
      await this.#renew();
    }
    await this.#handOver();
    const askedMs = clock.monotonicMs();
    const { beats, free } = await this.#membership.census(db);
    this.#members = this.#roster.look(beats, askedMs);
    const share = Math.ceil(PARTITIONS / Math.max(1, this.#members.size));
    this.#drainAbove(share);
    const wanted = share - this.#granted.size - this.#draining.size;
    if (free > 0 && wanted > 0) await this.#acquire(wanted);
  }

  /**
   * The database is another server, which may not know of what was read on the last one: all that was read is void, also
   * what a read under way brings, and partitions that are ours there too come with new grants at the next `runOnce`.
   */
  serverChanged(): void {
    for (const part of this.#granted.keys()) this.#forget(part);
    this.#renewedAtMs = Number.NEGATIVE_INFINITY;
    this.#options.onChange();
  }

  /** Gives everything back; what is unsettled is published again by whoever takes it. */
  async releaseAll(): Promise<void> {
    const { db, owner, onChange } = this.#options;
    const draining = [...this.#draining.values()].map(({ grant }) => grant);
    const all = [...this.#granted.values(), ...draining];
    for (const grant of all) grant.revoke();
    this.#granted.clear();
    this.#draining.clear();
    this.#renewedAtMs = Number.NEGATIVE_INFINITY;
    onChange();
    await this.#leases.release(db, owner, all);
    await this.#membership.leave(db, owner);
  }

  async #renew(): Promise<void> {
    const { db, owner, leaseMs } = this.#options;
    const { sentAtMs, deadlineMs } = this.#deadline();
    const renewed = await this.#leases.renew(db, owner, leaseMs);
    this.#renewedAtMs = sentAtMs;
    const nowMs = this.#options.clock.monotonicMs();
    const epochs = new Map(renewed.map((lease) => [lease.part, lease.epoch]));
    let changed = false;
    for (const [part, epoch] of epochs) {
      const grant = this.#granted.get(part) ?? this.#draining.get(part)?.grant;
      if (grant?.epoch === epoch && (grant.isLive(nowMs) || this.#draining.has(part))) {
        grant.deadlineMs = deadlineMs;
        continue;
      }
      // it had run out here, or the answer to the acquire was lost
      this.#grant({ part, epoch }, deadlineMs);
      changed = true;
    }
    const lost = [...this.#granted.keys(), ...this.#draining.keys()].filter((part) => !epochs.has(part));
    for (const part of lost) this.#forget(part);
    if (lost.length > 0) this.#options.logger.warn({ partitions: lost.length }, 'another relay has taken partitions');
    if (changed || lost.length > 0) this.#options.onChange();
  }

  async #acquire(limit: number): Promise<void> {
    const { db, owner, leaseMs, logger } = this.#options;
    const { deadlineMs } = this.#deadline();
    const taken = await this.#leases.acquire(db, owner, leaseMs, limit);
    for (const lease of taken) this.#grant(lease, deadlineMs);
    if (taken.length === 0) return;
    logger.info({ taken: taken.length, held: this.#granted.size }, 'took partitions of the outbox');
    this.#options.onChange();
  }

  #drainAbove(share: number): void {
    const { leaseMs, clock, onChange } = this.#options;
    const surplus = [...this.#granted.keys()].slice(share);
    const untilMs = clock.monotonicMs() + leaseMs;
    for (const part of surplus) {
      const grant = this.#granted.get(part);
      if (!grant) continue;
      this.#granted.delete(part);
      grant.revoke();
      this.#draining.set(part, { grant, untilMs });
    }
    if (surplus.length > 0) onChange();
  }

  async #handOver(): Promise<void> {
    const { db, owner, unsettled, clock, logger } = this.#options;
    const nowMs = clock.monotonicMs();
    const ended = [...this.#draining.values()].filter(
      ({ grant, untilMs }) => unsettled(grant.part) === 0 || nowMs >= untilMs,
    );
    if (ended.length === 0) return;
    const given = ended.map(({ grant }) => grant);
    await this.#leases.release(db, owner, given);
    for (const { part } of given) this.#draining.delete(part);
    logger.info({ given: given.length, held: this.#granted.size }, 'gave partitions to other relays');
  }

  #grant({ part, epoch }: LeaseRow, deadlineMs: number): void {
    this.#forget(part);
    this.#granted.set(part, new LeaseGrant(part, epoch, deadlineMs));
  }

  #forget(part: number): void {
    this.#granted.get(part)?.revoke();
    this.#granted.delete(part);
    this.#draining.delete(part);
  }

  #deadline(): { readonly sentAtMs: number; readonly deadlineMs: number } {
    const sentAtMs = this.#options.clock.monotonicMs();
    return { sentAtMs, deadlineMs: sentAtMs + this.#options.leaseMs * (1 - MARGIN_SHARE) };
  }
}
