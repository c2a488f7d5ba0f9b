import { NotATransactionError } from '../errors.ts';
import { drizzleAdapter } from './adapters/drizzle.ts';
import { knexAdapter } from './adapters/knex.ts';
import { kyselyAdapter } from './adapters/kysely.ts';
import { pgAdapter } from './adapters/pg.ts';
import { prismaAdapter } from './adapters/prisma.ts';
import { sequelizeAdapter } from './adapters/sequelize.ts';
import { type Adapter, type AdapterOptions, isShape } from './adapters/shape.ts';
import { typeormAdapter } from './adapters/typeorm.ts';
import type { TransactionExecutor } from './executor.ts';

const ADAPTERS: readonly Adapter[] = [
  knexAdapter,
  prismaAdapter,
  kyselyAdapter,
  drizzleAdapter,
  typeormAdapter,
  sequelizeAdapter,
  pgAdapter,
];

/** A transaction handle is one transaction, so what was found out of it holds; a pg client goes from one to the next. */
const recognised = new WeakMap<object, TransactionExecutor>();

/**
 * The executor of a transaction handle of knex, pg, drizzle, kysely, prisma, typeorm or sequelize.
 * @throws NotATransactionError (SVC_COMM_NOT_A_TRANSACTION) for a pool, a client outside a transaction, anything else
 * @throws TransactionFinishedError (SVC_COMM_TRANSACTION_FINISHED) when it has ended
 */
export async function recogniseTransaction(
  handle: unknown,
  options: AdapterOptions = { prepare: false },
): Promise<TransactionExecutor> {
  if (!isShape(handle)) throw new NotATransactionError('unknown', `it is ${handle === null ? 'null' : typeof handle}`);
  const known = recognised.get(handle);
  if (known) return known;
  const adapter = ADAPTERS.find((candidate) => candidate.recognises(handle));
  if (!adapter) {
    const libraries = ADAPTERS.map(({ library }) => library).join(', ');
    throw new NotATransactionError('unknown', `it looks like none of ${libraries}`);
  }
  const executor = await adapter.open(handle, options);
  if (adapter !== pgAdapter && adapter !== typeormAdapter) recognised.set(handle, executor);
  return executor;
}
