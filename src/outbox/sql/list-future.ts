import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import type { FutureEvents, FutureSelection, WaitingFutureEvent } from '../future-events.ts';
import type { Tags } from '../validate.ts';
import { IS_SELECTED, selectionParams } from './future-selection.ts';

interface ListedRow {
  readonly selected: string;
  readonly retries: string;
  readonly events: readonly EventRow[];
}

interface EventRow {
  readonly id: string;
  readonly aggregate: string;
  readonly type: string;
  readonly key: string | null;
  readonly tags: Tags;
  readonly due: number;
}

/** Counts and the first of them, seen at one moment. */
export async function listFuture(
  db: SqlExecutor,
  schema: string,
  selection: FutureSelection,
  limit: number,
): Promise<FutureEvents> {
  const future = qualified(schema, 'svc_comm_future');
  const [row] = await db.query<ListedRow>(
    `WITH first AS (
       SELECT message_id::text AS id, exchange AS aggregate, routing_key AS type, order_key AS key, tags,
              extract(epoch FROM due_at)::float8 * 1000 AS due
         FROM ${future} WHERE ${IS_SELECTED} ORDER BY due_at, id LIMIT $5::int)
     SELECT (SELECT count(*) FROM ${future} WHERE ${IS_SELECTED}) AS selected,
            (SELECT count(*) FROM ${future} WHERE exchange = '') AS retries,
            coalesce((SELECT json_agg(first) FROM first), '[]') AS events`,
    [...selectionParams(selection), String(limit)],
  );
  return {
    selected: Number(row?.selected ?? 0),
    retries: Number(row?.retries ?? 0),
    events: (row?.events ?? []).map(waitingEvent),
  };
}

const waitingEvent = ({ id, aggregate, type, key, tags, due }: EventRow): WaitingFutureEvent => ({
  eventId: id,
  eventTime: new Date(due),
  aggregate,
  eventType: type,
  key: key ?? undefined,
  tags,
});
