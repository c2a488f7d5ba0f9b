import { NotATransactionError, TransactionFinishedError } from '../../errors.ts';
import { isPgClient, PgClientExecutor } from '../pg-client-executor.ts';
import { type Adapter, hasMethod, isShape, method } from './shape.ts';

const isQueryRunner = (value: unknown): boolean =>
  hasMethod(value, 'startTransaction') && isShape(value) && typeof value.isTransactionActive === 'boolean';

/** typeorm: the EntityManager of `transaction()`, or a QueryRunner. */
export const typeormAdapter: Adapter = {
  library: 'typeorm',
  recognises: (value) => isQueryRunner(value) || (hasMethod(value, 'getRepository') && hasMethod(value, 'transaction')),
  async open(handle) {
    const runner = isQueryRunner(handle) ? handle : handle.queryRunner;
    if (!isShape(runner) || !isQueryRunner(runner)) {
      throw new NotATransactionError(
        'typeorm',
        'it is the DataSource or its manager, not the one that transaction() hands out',
      );
    }
    if (runner.isReleased === true) throw new TransactionFinishedError();
    if (runner.isTransactionActive !== true) {
      throw new NotATransactionError(
        'typeorm',
        'the query runner has no open transaction: call startTransaction() first',
      );
    }
    const client = await method(runner, 'connect')();
    if (!isPgClient(client)) throw new NotATransactionError('typeorm', 'its connection is not one of pg to PostgreSQL');
    return new PgClientExecutor({
      library: 'typeorm',
      client,
      isLive: () => runner.isReleased !== true && runner.isTransactionActive === true,
      knowsItsEnd: false,
      prepare: false,
    });
  },
};
