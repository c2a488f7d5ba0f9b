import { types } from 'node:util';

/**
 * Whether it is an Error, of whichever realm: test runners that give each file globals of its own (Jest, `node:vm`) have
 * another class Error than Node's modules, whose errors are what files, sockets and processes fail with.
 */
export const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value);

/** What was thrown, as a text: anything can be. */
export const messageOf = (thrown: unknown): string => (isError(thrown) ? thrown.message : String(thrown));

/** The `code` of an error; undefined when it has none that is a text, or is no error. */
export const codeOf = (thrown: unknown): string | undefined =>
  isError(thrown) && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;

/** Whether an import failed because there is no such package. Yarn's Plug'n'Play says so with the code of `require`. */
export const isMissingModule = (thrown: unknown): boolean =>
  ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(codeOf(thrown) ?? '');
