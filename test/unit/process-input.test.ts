import { afterEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { defineProcess } from '../../src/process/definition.ts';
import { dueTimes, failedValidations, readInput } from '../../src/process/input.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { validation } from '../../src/process/step.ts';

afterEach(() => {
  vi.useRealTimers();
});

const definitionOf = (options: Omit<Parameters<typeof defineProcess>[0], 'id'>) => {
  const registry = new ProcessRegistry();
  registry.add(defineProcess({ id: 'a', ...options }));
  return registry.get('a');
};
const timed = (at: (input: never) => unknown) => definitionOf({ tasksAsync: [[function work() {}, { at }]] });
const never = () => new Promise<never>(() => {});

describe('the time of an asynchronous task', () => {
  it.each([
    ['+275760-09-13T00:00:00.000Z'],
    ['+010000-01-01T00:00:00.000Z'],
    ['1969-12-31T23:59:59Z'],
    [-99_999_999_999_999],
  ])('%s cannot be written by the database, and is refused before anything is done', async (when) => {
    const { problems } = await dueTimes(
      timed(() => when),
      {},
    );
    expect(problems).toEqual([{ kind: 'time', name: 'work', why: expect.stringMatching(/a year from 1970 to 9999/) }]);
  });

  it('is taken in whatever zone it is said', async () => {
    const { times, problems } = await dueTimes(
      timed(() => '2026-12-01T10:00:00+05:00'),
      {},
    );
    expect(problems).toEqual([]);
    expect(times).toEqual([new Date('2026-12-01T05:00:00Z')]);
  });

  it('is what it was when it was asked for, whatever becomes of the Date that said it', async () => {
    const mine = new Date('2026-12-01T05:00:00Z');
    const { times } = await dueTimes(
      timed(() => mine),
      {},
    );
    mine.setTime(Number.NaN);
    expect(times).toEqual([new Date('2026-12-01T05:00:00Z')]);
  });

  it.each([
    ['2026-12-01T10:00', new Date(2026, 11, 1, 10)],
    ['2026-12-01 10:00:30', new Date(2026, 11, 1, 10, 0, 30)],
    ['2026-12-01', new Date(2026, 11, 1)],
    ['2026-12-01 10:00:30,1234+0530', new Date('2026-12-01T04:30:30.123Z')],
    ['2026-12-01T10:00z', new Date('2026-12-01T10:00:00Z')],
    ['2026-12-01T10:00:00-08', new Date('2026-12-01T18:00:00Z')],
  ])('%s is one, of the zone of the server where it names none', async (text, expected) => {
    const { times } = await dueTimes(
      timed(() => text),
      {},
    );
    expect(times).toEqual([expected]);
  });

  it.each([
    ['tomorrow at 5'],
    ['next week 12'],
    ['5'],
    ['02/03/2027'],
    ['2026-02-30T10:00:00Z'],
    ['2026-13-01'],
    ['2026-12-01T25:00'],
    [''],
    [true],
    [null],
    [new Date('soon')],
  ])('%s is none, and begins nothing', async (when) => {
    const { problems } = await dueTimes(
      timed(() => when),
      {},
    );
    expect(problems).toEqual([
      { kind: 'time', name: 'work', why: expect.stringMatching(/which is no time: expected an ISO 8601 time/) },
    ]);
  });

  it('is a problem when its function does not come to an end', async () => {
    vi.useFakeTimers();
    const found = dueTimes(timed(never), {});
    await vi.advanceTimersByTimeAsync(30_000);
    expect((await found).problems).toMatchObject([{ kind: 'time', why: 'at of work took longer than 30 s' }]);
  });
});

describe('a schema', () => {
  const schema = (validate: () => never | Promise<never>) =>
    definitionOf({ input: { '~standard': { version: 1, vendor: 'test', validate } } });

  it.each([
    ['that does not come to an end', never, 'the schema took longer than 30 s'],
    [
      'that throws',
      () => {
        throw new Error('no such table');
      },
      'no such table',
    ],
  ])('%s takes no body', async (_, validate, why) => {
    vi.useFakeTimers();
    const found = readInput(schema(validate), { foo: 1 });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await found).toEqual({ body: { foo: 1 }, problems: [{ kind: 'body', name: 'body', why }] });
  });
});

describe('a validation', () => {
  const unreadable = Object.defineProperty({}, 'message', {
    get() {
      throw new Error('no message either');
    },
  });

  it.each([
    ['returns an empty text', () => '', 'it does not hold, and does not say why'],
    [
      'throws what cannot be read',
      () => {
        throw unreadable;
      },
      'it threw an object that cannot be read',
    ],
  ])('that %s does not hold', async (_, run, why) => {
    const { validations } = definitionOf({ validations: [validation({ name: 'odd' }, run)] });
    const snapshot = { method: '', url: '', params: {}, query: {}, headers: {}, body: {}, user: '', instanceId: '' };
    const until = new AbortController().signal;
    expect(await failedValidations(validations, { snapshot, logger: silentLogger, until })).toEqual([
      { kind: 'validation', name: 'odd', why },
    ]);
  });
});
