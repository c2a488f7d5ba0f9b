import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { unavailable } from '../../src/database/database-error.ts';
import { RefusedWrites } from '../../src/database/refused-writes.ts';

const refused = () => Object.assign(new Error('cannot execute INSERT in a read-only transaction'), { code: '25006' });

/** A connection whose session takes writes when it is asked, in whose transaction these were done before one was refused. */
function refusedBehind(...commands: readonly string[]) {
  const connection = {
    readyForQuery: true,
    getTransactionStatus: () => 'I',
    query: async () => ({ rows: [{ readonly: 'off' }] }),
    connection: new EventEmitter(),
  };
  const connections = new Set([connection]);
  const refusals = new RefusedWrites(connections);
  refusals.watch(connection);
  // Of a transaction before.
  for (const text of ['BEGIN', 'SET', 'SELECT 1', 'COMMIT']) connection.connection.emit('commandComplete', { text });
  refusals.begin(connection);
  for (const text of commands) connection.connection.emit('commandComplete', { text });
  connection.connection.emit('errorMessage', { code: '25006' });
  const failure = (error: unknown, isPooled = false) =>
    refusals.failure(connection, error, { url: 'postgres://here', isPooled });
  return { failure, isLeft: () => refusals.isLeft(connection) };
}

const outage = { code: 'SVC_COMM_DATABASE_UNAVAILABLE', outage: 'read-only', cause: { code: '25006' } };

describe('a write that was refused by a session that takes writes when it is asked', () => {
  it.each([
    ['the first statement of its transaction', ['BEGIN']],
    ['the first behind what guards it', ['BEGIN', 'DECLARE CURSOR']],
  ])('is an outage as %s: the server was a standby then, or another one behind a pooler', async (_, commands) => {
    const { failure, isLeft } = refusedBehind(...commands);
    const ours = unavailable('', refused());
    expect(await failure(ours)).toBe(ours);
    expect(await failure(refused())).toMatchObject(outage);
    expect(isLeft()).toBe(false);
  });

  it.each([['SET'], ['SELECT 1'], ['BEGIN']])(
    'is the doing of its transaction behind a statement that can have made that READ ONLY (%s)',
    async (command) => {
      const { failure } = refusedBehind('BEGIN', command);
      const cause = refused();
      expect(await failure(unavailable('', cause))).toBe(cause);
      expect(await failure(cause)).toBe(cause);
    },
  );

  it('is an outage to a statement of ours behind a pooler, where another session was asked', async () => {
    const { failure } = refusedBehind('BEGIN', 'SELECT 1');
    const ours = unavailable('', refused());
    expect(await failure(ours, true)).toBe(ours);
  });

  it('is the doing of its transaction also behind a pooler when a write of it was done', async () => {
    const { failure } = refusedBehind('BEGIN', 'INSERT 0 1', 'SET');
    const cause = refused();
    expect(await failure(unavailable('', cause), true)).toBe(cause);
  });
});
