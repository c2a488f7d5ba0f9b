import { ReleasingMap } from '../util/releasing-map.ts';
import type { OutboxRow } from './relay-row.ts';

/** The part of a row that order depends on. */
export type LaneRow = Pick<OutboxRow, 'id' | 'key' | 'grant'> & { readonly body: string };

type Phase = 'waiting' | 'ready' | 'in-flight' | 'confirmed' | 'failed';

interface Entry<Row> {
  readonly row: Row;
  phase: Phase;
}

/**
 * Why the rows of a key are passed over. Each ends at a read of the whole table that begins after its cause is over:
 * only then all rows of the key come in order again.
 * - `overflow`: more rows wait than a lane holds
 * - `unrecorded`: a row failed, which the database does not know yet
 * - `over`: nothing but that read is missing
 */
type SkipCause = 'overflow' | 'unrecorded' | 'over';

export interface LanesOptions {
  /** Most rows of one key that wait in memory, ≥ 1. */
  readonly laneLimit: number;
}

/**
 * Which of the rows that were read may be sent: the order within a key, kept in memory, without any I/O.
 *
 *            add          next              confirmed             settled
 *   (table) ────▶ ready ──────▶ in-flight ───────────▶ confirmed ─────────▶ (forgotten)
 *              │    ▲                │ failed                                  ▲
 *              │    │ the one before │                                         │ recorded
 *              ▼    │ is confirmed   ├──────────────────▶ failed ──────────────┤
 *             waiting                │ unknown: forgotten at once              │
 *                                    └─────────────────────────────────────────┘
 *
 * Of each key at most one row is ready or in flight; the others wait behind it. When that one is not confirmed, those
 * behind it are forgotten and the key is skipped until the table has been read from its start.
 */
export class RelayLanes<Row extends LaneRow = OutboxRow> {
  readonly #options: LanesOptions;
  readonly #entries = new ReleasingMap<number, Entry<Row>>();
  /** For each key with a row ready or in flight: those behind it, by id. */
  readonly #lanes = new Map<string, Entry<Row>[]>();
  readonly #skipped = new Map<string, SkipCause>();
  #ready: Entry<Row>[] = [];
  #readyFrom = 0;
  #readyCount = 0;
  #bytes = 0;
  #wantsFullRead = false;

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** Rows held, in whatever phase. */
  get size(): number {
    return this.#entries.size;
  }
  /** Rows that could be sent now. */
  get readyCount(): number {
    return this.#readyCount;
  }
  /** Characters of the bodies that are not sent yet. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Whether rows were passed over that only a read from the start of the table finds again, and it would now. */
  get wantsFullRead(): boolean {
    return this.#wantsFullRead;
  }
  /** Ids held: what a read must leave out. */
  ids(): IterableIterator<number> {
    return this.#entries.keys();
  }
  skippedKeys(): IterableIterator<string> {
    return this.#skipped.keys();
  }
  isSkipped(key: string): boolean {
    return this.#skipped.has(key);
  }

  /** Call before a read from the start of the table begins. */
  beginFullRead(): void {
    this.#wantsFullRead = false;
    for (const [key, cause] of this.#skipped) {
      const waiting = this.#lanes.get(key)?.length ?? 0;
      if (cause === 'over' || (cause === 'overflow' && waiting <= this.#options.laneLimit / 2)) {
        this.#skipped.delete(key);
      }
    }
  }

  /**
   * Takes a row that a read brought, in the read's order.
   * @returns false when it was passed over
   */
  add(row: Row): boolean {
    if (this.#entries.has(row.id) || row.grant.isRevoked) return false;
    if (row.key === null) {
      this.#makeReady(this.#hold(row, 'ready'));
      return true;
    }
    if (this.#skipped.has(row.key)) return false;
    const lane = this.#lanes.get(row.key);
    if (!lane) {
      this.#lanes.set(row.key, []);
      this.#makeReady(this.#hold(row, 'ready'));
      return true;
    }
    if (lane.length >= this.#options.laneLimit) {
      this.#skipped.set(row.key, 'overflow');
      return false;
    }
    insertById(lane, this.#hold(row, 'waiting'));
    return true;
  }

  /** The next row to send, now in flight; undefined when none may be sent. */
  next(): Row | undefined {
    while (this.#readyFrom < this.#ready.length) {
      const entry = this.#ready[this.#readyFrom++] as Entry<Row>;
      if (this.#readyFrom > 1000 || this.#readyFrom === this.#ready.length) {
        this.#ready = this.#ready.slice(this.#readyFrom);
        this.#readyFrom = 0;
      }
      // a dropped row stays in the queue, but not in the map
      if (this.#entries.get(entry.row.id) !== entry || entry.phase !== 'ready') continue;
      entry.phase = 'in-flight';
      this.#readyCount -= 1;
      this.#bytes -= entry.row.body.length;
      return entry.row;
    }
    return undefined;
  }

  /** The row needs no sending any more (confirmed, expired, unroutable): the next of its key may go, it waits for its delete. */
  confirmed(row: Row): void {
    const entry = this.#entries.get(row.id);
    if (!entry) return;
    entry.phase = 'confirmed';
    if (row.key === null) return;
    const lane = this.#lanes.get(row.key);
    const follower = lane?.shift();
    if (follower) this.#makeReady(follower);
    else this.#lanes.delete(row.key);
    if (lane && this.#skipped.get(row.key) === 'overflow' && lane.length <= this.#options.laneLimit / 4) {
      this.#wantsFullRead = true;
    }
  }

  /** The broker refused the row: it is held until `settled`, when the database knows of its back-off. */
  failed(row: Row): void {
    const entry = this.#entries.get(row.id);
    if (!entry) return;
    entry.phase = 'failed';
    if (row.key !== null) this.#closeLane(row.key, 'unrecorded');
  }

  /** The database knows: the row is deleted, or its failure is recorded, or it is not ours any more. */
  settled(row: Row): void {
    const entry = this.#entries.get(row.id);
    if (!entry) return;
    this.#entries.delete(row.id);
    if (entry.phase === 'failed' && row.key !== null && this.#skipped.get(row.key) === 'unrecorded') {
      this.#skipped.set(row.key, 'over');
    }
  }

  /** What became of the row is not known, or it may not be sent any more: it must be read again. */
  forget(row: Row): void {
    const entry = this.#entries.get(row.id);
    if (!entry) return;
    this.#release(entry);
    if (row.key !== null) this.#closeLane(row.key, 'over');
    this.#wantsFullRead = true;
  }

  /** Forgets what is not yet sent under revoked grants; what is in flight stays until it is settled. */
  dropRevoked(): void {
    this.#drop((entry) => entry.row.grant.isRevoked);
  }

  /** Forgets everything that is not yet sent. */
  dropUnsent(): void {
    this.#drop(() => true);
  }

  /** Rows of a partition that are sent and not settled. */
  unsettled(part: number): number {
    let count = 0;
    for (const { row, phase } of this.#entries.values()) {
      if (row.grant.part === part && phase !== 'waiting' && phase !== 'ready') count += 1;
    }
    return count;
  }

  #hold(row: Row, phase: Phase): Entry<Row> {
    const entry: Entry<Row> = { row, phase };
    this.#entries.set(row.id, entry);
    this.#bytes += row.body.length;
    return entry;
  }

  #makeReady(entry: Entry<Row>): void {
    entry.phase = 'ready';
    this.#ready.push(entry);
    this.#readyCount += 1;
  }

  #release(entry: Entry<Row>): void {
    this.#entries.delete(entry.row.id);
    if (entry.phase === 'ready') this.#readyCount -= 1;
    if (entry.phase === 'ready' || entry.phase === 'waiting') this.#bytes -= entry.row.body.length;
  }

  #closeLane(key: string, cause: SkipCause): void {
    for (const waiting of this.#lanes.get(key) ?? []) this.#release(waiting);
    this.#lanes.delete(key);
    this.#skipped.set(key, cause);
  }

  #drop(which: (entry: Entry<Row>) => boolean): void {
    for (const entry of this.#entries.values()) {
      if ((entry.phase !== 'ready' && entry.phase !== 'waiting') || !which(entry)) continue;
      this.#release(entry);
      const { key } = entry.row;
      if (key === null) continue;
      const lane = this.#lanes.get(key);
      if (entry.phase === 'ready') this.#lanes.delete(key);
      else if (lane)
        this.#lanes.set(
          key,
          lane.filter((waiting) => waiting !== entry),
        );
    }
    this.#wantsFullRead = true;
  }
}

/** Nearly always an append: id order is commit order within a key. */
function insertById<Row extends LaneRow>(lane: Entry<Row>[], entry: Entry<Row>): void {
  let at = lane.length;
  while (at > 0 && (lane[at - 1]?.row.id ?? 0) > entry.row.id) at -= 1;
  lane.splice(at, 0, entry);
}
