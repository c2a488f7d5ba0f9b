import type { SqlExecutor } from '../../database/executor.ts';
import { hereNotice, TASK_CHANNEL } from './channel.ts';

/** Tells the workers of a queue that this one listens too. */
export async function announceWorker(db: SqlExecutor, worker: string, queue: string): Promise<void> {
  await db.query(
    'SELECT pg_notify($1::text, $2::text)',
    [TASK_CHANNEL, hereNotice(worker, queue)],
    'svc_comm_worker_here',
  );
}
