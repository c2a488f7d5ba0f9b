import { isError } from '../../util/thrown.ts';
import type { TransactionExecutor } from '../executor.ts';

export interface AdapterOptions {
  /** Whether named statements are prepared; only on connections that are ours (a pooler between may not know them). */
  readonly prepare: boolean;
}

/** One library's handles, told by their shape: nothing of the library is imported. */
export interface Adapter {
  readonly library: string;
  /** Whether the value is this library's, transaction or not. */
  recognises(value: Shape): boolean;
  /** @throws NotATransactionError for its roots, TransactionFinishedError for what has ended */
  open(handle: Shape, options: AdapterOptions): TransactionExecutor | Promise<TransactionExecutor>;
}

/** Any object or function, its properties not yet looked at. */
export type Shape = Readonly<Record<string, unknown>>;

export const isShape = (value: unknown): value is Shape =>
  (typeof value === 'object' && value !== null) || typeof value === 'function';

export const hasMethod = (value: unknown, name: string): boolean => isShape(value) && typeof value[name] === 'function';

/** The value's method, bound to it; call it only after `hasMethod`. */
export function method(value: Shape, name: string): (...args: unknown[]) => unknown {
  const found = value[name];
  if (typeof found !== 'function') throw new TypeError(`${name} is no method`);
  return (...args) => Reflect.apply(found, value, args);
}

export const errorMessage = (error: unknown): string => (isError(error) ? error.message : '');
