import { types } from 'node:util';

/**
 * Whether it is an Error, of whichever realm: test runners that give each file globals of its own (Jest, `node:vm`) have
 * another class Error than Node's modules, whose errors are what files, sockets and processes fail with.
 */
export const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value);
