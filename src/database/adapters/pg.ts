import { DatabaseUnavailableError, NotATransactionError, TransactionFinishedError } from '../../errors.ts';
import { GuardedExecutor } from '../guarded-executor.ts';
import { isPgClient, type PgClient, PgClientExecutor } from '../pg-client-executor.ts';
import { type Adapter, hasMethod, method } from './shape.ts';

/**
 * Whether a client is still with whoever has it now. The pool gives it another `release` each time it is checked out,
 * and puts a listener on it while it lies there.
 */
export function sameCheckout(client: PgClient & { release?: unknown }): () => boolean {
  const { release } = client;
  return () => client.release === release && !isCheckedIn(client);
}

const isCheckedIn = (client: PgClient): boolean =>
  client.listeners('error').some((listener) => typeof listener === 'function' && listener.name === 'idleListener');

/** `pg.Client` and `PoolClient`, the native one too. */
export const pgAdapter: Adapter = {
  library: 'pg',
  recognises: (value) =>
    hasMethod(value, 'query') &&
    (hasMethod(value, 'getTransactionStatus') || hasMethod(value, 'escapeIdentifier') || 'totalCount' in value),
  open(client) {
    if ('totalCount' in client) {
      throw new NotATransactionError('pg', 'it is a Pool; check a client out with connect() and BEGIN on it');
    }
    if (!isPgClient(client)) return openNative(client);
    if (isCheckedIn(client)) throw new TransactionFinishedError();
    const executor = new PgClientExecutor({
      library: 'pg',
      client,
      isLive: sameCheckout(client),
      knowsItsEnd: false,
      prepare: false,
    });
    const status = executor.status();
    if (status === 'lost') throw new DatabaseUnavailableError('', 'the connection of the transaction was lost');
    if (status === 'ended') {
      if (seen.has(client)) throw new TransactionFinishedError();
      throw new NotATransactionError('pg', 'the client has no open transaction: await its BEGIN first');
    }
    seen.add(client);
    return executor;
  },
};

/** Clients that were in a transaction before: what ended is told from what never began. */
const seen = new WeakSet<object>();

/** No status to look at: SAVEPOINT, which needs a transaction block, is the question. */
async function openNative(client: Parameters<Adapter['open']>[0]) {
  const query = method(client, 'query');
  const executor = new GuardedExecutor({
    library: 'pg',
    send: async (sql, params) => ((await query(sql, [...params])) as { rows: unknown[] }).rows,
    saysFinished: () => false,
  });
  try {
    await executor.query('SAVEPOINT svc_comm_probe', []);
    await executor.query('RELEASE SAVEPOINT svc_comm_probe', []);
  } catch (error) {
    if (!(error instanceof TransactionFinishedError) || seen.has(client)) throw error;
    throw new NotATransactionError('pg', 'the client has no open transaction: await its BEGIN first');
  }
  seen.add(client);
  return executor;
}
