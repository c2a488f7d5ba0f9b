import { NotATransactionError } from '../../errors.ts';
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
      send: async (sql, params) => (await queryRaw(sql, ...params)) as unknown[],
      saysFinished: (error) => isShape(error) && error.code === 'P2028',
    });
  },
};
