import { NotATransactionError, TransactionFinishedError } from '../../errors.ts';
import { isPgClient, PgClientExecutor } from '../pg-client-executor.ts';
import { type Adapter, hasMethod, isShape, method } from './shape.ts';

const isFunction = (value: unknown): boolean => typeof value === 'function';

/** knex 1 … 3: the transactor has the pool's interface, `isTransaction`, and a client that keeps one connection. */
export const knexAdapter: Adapter = {
  library: 'knex',
  recognises: (value) => isFunction(value) && hasMethod(value, 'raw') && isShape(value.client),
  async open(trx, { prepare }) {
    if (trx.isTransaction !== true || !isShape(trx.client)) {
      throw new NotATransactionError('knex', 'it is knex itself, each statement of which may use another connection');
    }
    const isCompleted = method(trx, 'isCompleted');
    if (isCompleted() === true) throw new TransactionFinishedError();
    const connection = await method(trx.client, 'acquireConnection')();
    if (!isPgClient(connection))
      throw new NotATransactionError('knex', 'its connection is not one of pg to PostgreSQL');
    return new PgClientExecutor({
      library: 'knex',
      client: connection,
      isLive: () => isCompleted() !== true,
      knowsItsEnd: true,
      prepare,
    });
  },
};
