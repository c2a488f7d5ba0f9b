import { isError } from './is-error.ts';

/** Whether an import failed because there is no such package. Yarn's Plug'n'Play says so with the code of `require`. */
export const isMissingModule = (error: unknown): boolean =>
  isError(error) && 'code' in error && (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND');
