import { NotATransactionError } from '../../errors.ts';
import { GuardedExecutor } from '../guarded-executor.ts';
import { isPgClient, type PgClient, PgClientExecutor } from '../pg-client-executor.ts';
import { sameCheckout } from './pg.ts';
import { type Adapter, hasMethod, isShape, method, type Shape } from './shape.ts';

/** drizzle-orm over node-postgres; over other drivers by its own `execute`. */
export const drizzleAdapter: Adapter = {
  library: 'drizzle',
  recognises: (value) => hasMethod(value, 'execute') && isShape(value.dialect) && isShape(value.session),
  open(tx) {
    if (!hasMethod(tx, 'rollback') || !('nestedIndex' in tx)) {
      throw new NotATransactionError(
        'drizzle',
        'it is the database object, not the one that db.transaction() hands out',
      );
    }
    const client = isShape(tx.session) ? tx.session.client : undefined;
    return isPgClient(client) ? overPg(client) : overExecute(tx);
  },
};

/** drizzle keeps no note of the end: the client's state and its checkout tell; without a pool, the transaction's mark. */
function overPg(client: PgClient) {
  const isLive = sameCheckout(client);
  const executor = new PgClientExecutor({ library: 'drizzle', client, isLive, knowsItsEnd: false, prepare: false });
  if (hasMethod(client, 'release')) return executor;
  return new GuardedExecutor({
    library: 'drizzle',
    send: (sql, params) => executor.query(sql, params),
    saysFinished: () => false,
    status: () => executor.status(),
  });
}

function overExecute(tx: Shape) {
  const execute = method(tx, 'execute');
  return new GuardedExecutor({
    library: 'drizzle',
    async send(sql, params) {
      const query = { getSQL: () => query, toQuery: () => ({ sql, params: [...params] }) };
      const result = await execute(query);
      if (Array.isArray(result)) return result;
      return isShape(result) && Array.isArray(result.rows) ? result.rows : [];
    },
    saysFinished: () => false,
  });
}
