import { expect, test } from 'vitest';
import { InFlight } from '../../src/consumer/in-flight.ts';
import { StartLog } from '../../src/consumer/start-log.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import type { StartMarks } from '../../src/message/start-marks.ts';
import { deferred } from '../../src/util/deferred.ts';
import { DEFAULT_JSON_LIMITS } from '../../src/wire/json.ts';

const message = () =>
  new InFlight(
    {
      queue: 'q',
      exchange: 'x',
      routingKey: 'r',
      redelivered: true,
      body: Buffer.from('{}'),
      properties: { messageId: 'm', headers: {} },
      lost: new AbortController().signal,
      ack: () => true,
      release: () => true,
    },
    DEFAULT_JSON_LIMITS,
  );

/** One message's mark, in memory; what is written takes its time. */
function setup(more: Partial<StartMarks> = {}) {
  const mark = { starts: 0, isReturned: false };
  const stopped = new AbortController();
  const marks: StartMarks = {
    read: async () => [mark],
    begin: async () => {
      mark.starts += 1;
    },
    end: async () => {
      Object.assign(mark, { starts: 0, isReturned: false });
    },
    giveBack: async (_keys, isBegun) => {
      await new Promise(setImmediate);
      Object.assign(mark, { starts: mark.starts - (isBegun ? 1 : 0), isReturned: true });
    },
    ...more,
  };
  return { mark, marks, stopped, log: new StartLog({ marks, logger: silentLogger, stopped: stopped.signal }) };
}

test('a start that is being written when a stop comes is taken back before the stop is over', async () => {
  const { mark, stopped, log } = setup({
    begin: async () => {
      mark.starts += 1;
      stopped.abort();
    },
  });
  const beginning = log.begin(message());
  await log.settled();
  expect(mark).toEqual({ starts: 0, isReturned: true });
  expect(await beginning).toBe(false);
});

test('a start whose run has ended is taken away before the stop is over, also at the second try', async () => {
  let tries = 0;
  const { mark, stopped, log } = setup({
    end: async () => {
      tries += 1;
      if (tries === 1) throw new Error('not now');
      mark.starts = 0;
    },
  });
  expect(await log.begin(message())).toBe(true);
  stopped.abort();
  void log.end();
  await log.settled();
  expect([mark.starts, tries]).toEqual([0, 2]);
});

test('a run that ends after its message was given back leaves what that says, for whoever gets it next', async () => {
  const { mark, log } = setup();
  const running = message();
  await log.begin(running);
  const explaining = log.explain([running]);
  await log.end();
  await explaining;
  expect(mark).toEqual({ starts: 0, isReturned: true });
});

test('a run that ends after its message could not be given back leaves no start', async () => {
  const { mark, log } = setup({ giveBack: () => Promise.reject(new Error('not now')) });
  const running = message();
  await log.begin(running);
  await log.explain([running]);
  expect(mark.starts).toBe(1);
  await log.end();
  expect(mark.starts).toBe(0);
});

test('a stop does not wait for a database that does not answer', async () => {
  const never = deferred();
  const { log } = setup({ end: () => never.promise });
  await log.begin(message());
  const ending = log.end();
  await log.settled();
  never.resolve();
  await ending;
});
