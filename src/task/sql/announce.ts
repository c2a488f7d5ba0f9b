import type { SqlExecutor } from '../../database/executor.ts';
import { hereNotice, TASK_CHANNEL } from './channel.ts';

/** Tells those who submit to a queue, and its workers, that this one listens too. @param isFull takes nothing at the moment */
export async function announceWorker(db: SqlExecutor, worker: string, queue: string, isFull: boolean): Promise<void> {
  await db.query(
    'SELECT pg_notify($1::text, $2::text)',
    [TASK_CHANNEL, hereNotice(worker, queue, isFull)],
    'svc_comm_worker_here',
  );
}
