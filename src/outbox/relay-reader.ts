import { arrayLiteral } from '../database/array-literal.ts';
import type { SqlExecutor } from '../database/executor.ts';
import type { Clock } from '../lifecycle/clock.ts';
import type { LeaseGrant } from './lease-grant.ts';
import type { RelayLanes } from './relay-lanes.ts';
import type { OutboxRow } from './relay-row.ts';
import type { RelayStats } from './relay-stats.ts';
import { type BatchRow, prepareReadBatch } from './sql/read-batch.ts';

export interface RelayReaderOptions {
  readonly db: SqlExecutor;
  readonly schema: string;
  readonly batchSize: number;
  readonly lanes: RelayLanes;
  readonly clock: Clock;
  readonly stats: RelayStats;
  /** Grants that may be read under now. */
  readonly grants: () => readonly LeaseGrant[];
}

export interface ReadResult {
  readonly read: number;
  readonly taken: number;
  /** Nothing else could be read and taken when the read began. */
  readonly isAll: boolean;
}

/** Bytes of bodies in one read, and characters of unsent bodies above which none is begun. */
const MAX_READ_BYTES = 8 * 1024 * 1024;
/** No UTF-16 unit takes more. */
const MAX_UTF8_BYTES = 3;
/** Rows held in all phases, as a multiple of the batch and at least. */
const HELD_BATCHES = 8;
const HELD_LEAST = 4000;

/**
 * Reads ahead of the sender. Every read goes through the table from its start and leaves out what is held: a row that
 * a transaction committed late, with an id below those already seen, is found by the next read, before any later row
 * of its key. (A cursor would find the later one first.)
 */
export class RelayReader {
  readonly #options: RelayReaderOptions;
  readonly #read: ReturnType<typeof prepareReadBatch>;
  readonly #maxHeld: number;

  constructor(options: RelayReaderOptions) {
    this.#options = options;
    this.#read = prepareReadBatch(options.schema);
    this.#maxHeld = Math.max(HELD_LEAST, HELD_BATCHES * options.batchSize);
  }

  /** Whether another batch may be taken into memory. */
  get hasRoom(): boolean {
    const { lanes, batchSize } = this.#options;
    return lanes.readyCount < 2 * batchSize && lanes.size < this.#maxHeld && lanes.bytes < MAX_READ_BYTES;
  }

  /** Reads one batch into the lanes. */
  async runOnce(): Promise<ReadResult> {
    const { db, lanes, grants, batchSize, clock, stats } = this.#options;
    const byPart = new Map(grants().map((grant) => [grant.part, grant]));
    if (byPart.size === 0) return { read: 0, taken: 0, isAll: true };
    lanes.beginFullRead();
    stats.reads += 1;
    stats.fullReads += 1;
    const sentAtMs = clock.monotonicMs();
    const rows = await this.#read(db, {
      after: 0,
      parts: byPart.keys(),
      held: lanes.ids(),
      skippedKeys: arrayLiteral([...lanes.skippedKeys()]),
      limit: batchSize,
      maxBytes: MAX_READ_BYTES,
    });
    let taken = 0;
    let units = 0;
    for (const row of rows) {
      const grant = byPart.get(row.part);
      units += row.body.length;
      if (grant && lanes.add(outboxRow(row, grant, sentAtMs))) taken += 1;
    }
    const isCut = rows.length === batchSize || units * MAX_UTF8_BYTES >= MAX_READ_BYTES;
    return { read: rows.length, taken, isAll: taken === rows.length && !isCut };
  }
}

const outboxRow = (row: BatchRow, grant: LeaseGrant, sentAtMs: number): OutboxRow => ({
  id: Number(row.id),
  key: row.key,
  grant,
  messageId: row.mid,
  exchange: row.exchange,
  routingKey: row.route,
  body: row.body,
  properties: row.properties,
  appId: row.app,
  createdAt: row.created,
  expiresAtMs: row.remaining === null ? null : sentAtMs + row.remaining,
  attempts: row.attempts,
});
