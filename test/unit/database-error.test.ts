import { expect, test } from 'vitest';
import {
  errorText,
  isAccessRefused,
  isConnectionError,
  sqlState,
  toDatabaseError,
  unavailable,
} from '../../src/database/database-error.ts';
import { waitingForRoom } from '../../src/database/waiting-for-room.ts';
import { Reject } from '../../src/errors.ts';

const pgError = (code: string, message = code) => Object.assign(new Error(message), { code });
const missing = 'relation "public.svc_comm_outbox" does not exist';

/** One server error as each library throws it. */
const wrappings: [string, (error: Error & { code: string }) => unknown][] = [
  ['pg and kysely', (error) => error],
  ['drizzle', (error) => new Error('Failed query: …', { cause: error })],
  ['typeorm', (error) => Object.assign(new Error(error.message), { driverError: error })],
  ['sequelize', (error) => Object.assign(new Error(error.message), { original: error, parent: error })],
  [
    'prisma',
    ({ code, message }) => Object.assign(new Error('Raw query failed'), { code: 'P2010', meta: { code, message } }),
  ],
  [
    'prisma with a driver adapter',
    ({ code, message }) =>
      Object.assign(new Error('Raw query failed'), {
        code: 'P2010',
        meta: { driverAdapterError: { cause: { originalCode: code, message } } },
      }),
  ],
];

test.each(wrappings)("the server's code is found in what %s throws", (_library, wrap) => {
  expect(sqlState(wrap(pgError('40P01')))).toBe('40P01');
  expect(toDatabaseError(wrap(pgError('40P01')))).toMatchObject({ code: 'SVC_COMM_DEADLOCK' });
  expect(toDatabaseError(wrap(pgError('25P02')))).toMatchObject({ code: 'SVC_COMM_TRANSACTION_ABORTED' });
  expect(toDatabaseError(wrap(pgError('42P01', missing)))).toMatchObject({
    code: 'SVC_COMM_MIGRATION_REQUIRED',
    table: 'svc_comm_outbox',
  });
  expect(toDatabaseError(wrap(pgError('25006')))).toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE' });
  expect(isConnectionError(wrap(pgError('57P01')))).toBe(true);
  expect(isAccessRefused(wrap(pgError('28P01')))).toBe(true);
});

test('a full disk is an outage in a handler, unless it decided itself what becomes of its message', async () => {
  const full = pgError('53100', 'could not extend file "base/5/16539": No space left on device');
  const run = (thrown: Error) => waitingForRoom(() => Promise.reject(thrown))(undefined);
  await expect(run(full)).rejects.toMatchObject({ code: 'SVC_COMM_DATABASE_UNAVAILABLE', outage: 'disk-full' });
  const decided = new Reject('not today', { cause: full });
  await expect(run(decided)).rejects.toBe(decided);
});

test("a missing table that is not ours stays the user's error", () => {
  const theirs = pgError('42P01', 'relation "orders" does not exist');
  expect(toDatabaseError(theirs)).toBe(theirs);
});

test.each([
  ['a refused socket', pgError('ECONNREFUSED'), true],
  ['a broken pipe', pgError('EPIPE'), true],
  ['both addresses of localhost refused', new AggregateError([pgError('ECONNREFUSED'), pgError('ECONNREFUSED')]), true],
  ['a connection that broke', new Error('Connection terminated unexpectedly'), true],
  ['the same with the statement before it', new Error('ROLLBACK - Client was closed and is not queryable'), true],
  ['connection failure', pgError('08006'), true],
  ['starting up', pgError('57P03'), true],
  ['too many clients', pgError('53300'), true],
  ['no writes', pgError('25006'), false],
  ['a unique violation', pgError('23505'), false],
  ['a cancelled statement', pgError('57014'), false],
  ['an unknown error', new Error('oops'), false],
  ['no error at all', undefined, false],
])('%s: %#', (_what, error, expected) => {
  expect(isConnectionError(error)).toBe(expected);
});

test('errors that refer to each other end', () => {
  const a = new Error('a');
  const b = new Error('b', { cause: a });
  a.cause = b;
  expect(sqlState(a)).toBeUndefined();
  expect(errorText(a)).toMatch(/^[ab]$/);
});

test.each([
  ['53300', 'sorry, too many clients already', 'full', 'takes no more connections'],
  ['25006', 'cannot execute INSERT in a read-only transaction', 'read-only', 'refuses writes'],
  ['57P03', 'the database system is starting up', 'unreachable', 'check that it runs'],
])('%s says what there is to do', (code, message, outage, text) => {
  expect(unavailable('postgres://db/orders', pgError(code, message))).toMatchObject({
    code: 'SVC_COMM_DATABASE_UNAVAILABLE',
    outage,
    message: expect.stringContaining(text),
  });
});
