import type { SqlExecutor } from '../../database/executor.ts';
import { qualified } from '../../database/identifier.ts';
import type { FutureSelection } from '../future-events.ts';
import { IS_SELECTED, selectionParams } from './future-selection.ts';

/** Deletes the future events that are selected; returns how many. Those that a relay promotes meanwhile are not among them. */
export async function cancelSelected(db: SqlExecutor, schema: string, selection: FutureSelection): Promise<number> {
  const [row] = await db.query<{ cancelled: string }>(
    `WITH cancelled AS (DELETE FROM ${qualified(schema, 'svc_comm_future')} WHERE ${IS_SELECTED} RETURNING 1)
     SELECT count(*) AS cancelled FROM cancelled`,
    selectionParams(selection),
  );
  return Number(row?.cancelled ?? 0);
}
