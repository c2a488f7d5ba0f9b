import type { SqlExecutor } from '../../database/executor.ts';
import type { WorkerWord } from '../presence.ts';
import { TASK_CHANNEL, workerNotice } from './channel.ts';

/** Tells those who submit to a queue, and its workers, of this one. */
export async function announceWorker(db: SqlExecutor, word: WorkerWord, worker: string, queue: string): Promise<void> {
  await db.query(
    'SELECT pg_notify($1::text, $2::text)',
    [TASK_CHANNEL, workerNotice(word, worker, queue)],
    'svc_comm_worker_here',
  );
}
