import { NotATransactionError, TransactionFinishedError } from '../../errors.ts';
import { isPgClient, PgClientExecutor } from '../pg-client-executor.ts';
import { type Adapter, hasMethod, isShape } from './shape.ts';

/** sequelize 6: the Transaction object. Its connection carries the transaction's id as `uuid` until it is given back. */
export const sequelizeAdapter: Adapter = {
  library: 'sequelize',
  recognises: (value) =>
    (isShape(value.sequelize) && hasMethod(value, 'commit')) ||
    (hasMethod(value, 'getQueryInterface') && hasMethod(value, 'define')),
  open(transaction) {
    if (!isShape(transaction.sequelize)) {
      throw new NotATransactionError(
        'sequelize',
        'it is the Sequelize instance, not the one that transaction() hands out',
      );
    }
    const client = transaction.connection;
    const isLive = () => !transaction.finished && isShape(client) && client.uuid === transaction.id;
    if (!isLive()) throw new TransactionFinishedError();
    if (!isPgClient(client))
      throw new NotATransactionError('sequelize', 'its connection is not one of pg to PostgreSQL');
    return new PgClientExecutor({ library: 'sequelize', client, isLive, knowsItsEnd: false, prepare: false });
  },
};
