import { NotATransactionError, TransactionAbortedError } from '../../errors.ts';
import { GuardedExecutor } from '../guarded-executor.ts';
import { type Adapter, hasMethod, isShape, method } from './shape.ts';

/** prisma's interactive transactions: the client without `$connect`. */
export const prismaAdapter: Adapter = {
  library: 'prisma',
  recognises: (value) => hasMethod(value, '$queryRawUnsafe'),
  open(tx) {
    if (hasMethod(tx, '$connect')) {
      throw new NotATransactionError(
        'prisma',
        'it is the PrismaClient, not the one that $transaction(async (tx) => …) hands out',
      );
    }
    const queryRaw = method(tx, '$queryRawUnsafe');
    return new GuardedExecutor({
      library: 'prisma',
      send: async (sql, params) => {
        const rows = await queryRaw(sql, ...params);
        if (Array.isArray(rows)) return rows;
        // What is asked of prisma 7 at one moment goes as one batch; when a part of it fails, the others resolve to nothing.
        const cause = new Error('prisma gave no answer: another statement of the same moment has failed');
        throw new TransactionAbortedError({ cause });
      },
      saysFinished: (error) => isShape(error) && error.code === 'P2028',
    });
  },
};
