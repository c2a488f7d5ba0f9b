import { NotATransactionError } from '../../errors.ts';
import { GuardedExecutor } from '../guarded-executor.ts';
import { type Adapter, errorMessage, hasMethod, method } from './shape.ts';

/** kysely: `Transaction` and `ControlledTransaction`. */
export const kyselyAdapter: Adapter = {
  library: 'kysely',
  recognises: (value) => hasMethod(value, 'executeQuery') && typeof value.isTransaction === 'boolean',
  open(trx) {
    if (trx.isTransaction !== true) {
      throw new NotATransactionError('kysely', 'it is the Kysely instance, not the one that transaction() hands out');
    }
    const execute = method(trx, 'executeQuery');
    return new GuardedExecutor({
      library: 'kysely',
      async send(sql, params) {
        const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] };
        const result = await execute({ sql, parameters: [...params], query, queryId: { queryId: 'svc-comm' } });
        return (result as { rows: unknown[] }).rows;
      },
      saysFinished: (error) => /^Transaction is already (committed|rolled back)/.test(errorMessage(error)),
    });
  },
};
