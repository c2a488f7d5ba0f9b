import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { createTerminalLogger } from '../../src/cli/terminal-logger.ts';
import { CallLostError } from '../../src/errors.ts';
import type { Logger } from '../../src/lifecycle/logger.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { withCorrelation } from '../../src/util/correlation.ts';

const fire = () =>
  Object.assign(new RangeError('the printer is on fire', { cause: new Error('paper') }), { code: 'PRINTER' });

/** Has a handler fail, and waits for the line that says so. */
async function failing(
  logger: Logger,
  hasSaid: () => boolean,
  attempts = 1,
  failure: () => Error = fire,
): Promise<void> {
  const appId = 'own-logger';
  const service = createService(
    { appId, brokerUrl: 'embedded:memory', retry: { attempts, delays: attempts > 1 ? ['50ms'] : [] } },
    { logger },
  );
  onTestFinished(() => service.close());
  service.messageRouter.consumer(
    appId,
    'fails',
  )(
    eventConsumer(() => {
      throw failure();
    }),
  );
  await service.consumer().start();
  await service.publishEventNow({ aggregate: appId, eventType: 'fails', payload: {} });
  await expect.poll(hasSaid).toBe(true);
}

const DEAD = 'message goes to the dead letters';
const FAILURE = {
  type: 'RangeError',
  message: expect.stringContaining('the printer is on fire'),
  code: 'PRINTER',
  stack: expect.stringContaining('own-logger.test.ts'),
};

test.each([
  ['as it is', {}],
  ['with a serialiser of its own for errors', { serializers: { error: pino.stdSerializers.err } }],
])('a pino of the project, %s, writes what a handler failed with', async (_, options) => {
  const lines: string[] = [];
  const find = () => lines.find((line) => line.includes(DEAD));
  await failing(pino(options, { write: (line: string) => void lines.push(line) }), () => find() !== undefined);
  expect(JSON.parse(find() ?? '')).toMatchObject({ msg: DEAD, error: FAILURE });
});

test('a pino of the project with a serialiser that takes what an error has writes the data of ours', async () => {
  const data = { service: 'pricing', method: 'quote', callId: 'c' };
  const lines: string[] = [];
  const find = () => lines.find((line) => line.includes(DEAD));
  const logger = pino(
    { serializers: { error: (error: Error) => ({ ...error }) } },
    { write: (line: string) => void lines.push(line) },
  );
  await failing(
    logger,
    () => find() !== undefined,
    1,
    () => new CallLostError(data),
  );
  expect(JSON.parse(find() ?? '')).toMatchObject({ msg: DEAD, error: data });
});

test('a logger that writes JSON and knows nothing of errors does too', async () => {
  const lines: string[] = [];
  const log = (fields: object, text: string) => void lines.push(JSON.stringify({ ...fields, text }));
  const find = () => lines.find((line) => line.includes(DEAD));
  await failing({ debug: log, info: log, warn: log, error: log }, () => find() !== undefined);
  expect(JSON.parse(find() ?? '')).toMatchObject({ text: DEAD, error: FAILURE });
});

test('the lines of a failed message tell by which correlation and trace the rest of it is found', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const correlation = { correlationId: 'order 7', traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  const lines: string[] = [];
  const find = (text: string) => lines.find((line) => line.includes(text));
  await withCorrelation(correlation, () =>
    failing(pino({}, { write: (line: string) => void lines.push(line) }), () => find(DEAD) !== undefined, 2),
  );
  const ids = { correlationId: 'order 7', traceId, messageId: expect.any(String) };
  expect(JSON.parse(find('is tried again') ?? '')).toMatchObject({ ...ids, attempt: 1 });
  expect(JSON.parse(find(DEAD) ?? '')).toMatchObject({ ...ids, attempt: 2 });
});

test.each([
  ['clones what it is given, as one does that hands lines to a thread', structuredClone],
  [
    'throws on whatever has an error',
    (fields: object) => {
      if ('error' in fields) throw new Error('no disk');
    },
  ],
])('one that %s loses no message', async (_, take: (fields: object) => unknown) => {
  const log = (fields: object) => void take(fields);
  let runs = 0;
  const fails = () => {
    runs += 1;
    return Object.assign(fire(), { work: () => undefined });
  };
  await failing({ debug: log, info: log, warn: log, error: log }, () => runs === 2, 2, fails);
});

test('one that knows errors finds an error', async () => {
  const lines: string[] = [];
  const logger = createTerminalLogger('info', 'test', { write: (line) => void lines.push(line), hasColours: false });
  await failing(logger, () => lines.some((line) => line.includes(DEAD)));
  expect(lines.find((line) => line.includes(DEAD))).toContain('error: the printer is on fire');
});
