import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { createTerminalLogger } from '../../src/cli/terminal-logger.ts';
import type { Logger } from '../../src/lifecycle/logger.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';

/** Has a handler fail, and waits for the line that says so. */
async function failing(logger: Logger, hasSaid: () => boolean): Promise<void> {
  const appId = 'own-logger';
  const service = createService({ appId, brokerUrl: 'embedded:memory', retry: { attempts: 1 } }, { logger });
  onTestFinished(() => service.close());
  service.messageRouter.consumer(
    appId,
    'fails',
  )(
    eventConsumer(() => {
      throw Object.assign(new RangeError('the printer is on fire', { cause: new Error('paper') }), { code: 'PRINTER' });
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

test('a logger that writes JSON and knows nothing of errors does too', async () => {
  const lines: string[] = [];
  const log = (fields: object, text: string) => void lines.push(JSON.stringify({ ...fields, text }));
  const find = () => lines.find((line) => line.includes(DEAD));
  await failing({ debug: log, info: log, warn: log, error: log }, () => find() !== undefined);
  expect(JSON.parse(find() ?? '')).toMatchObject({ text: DEAD, error: FAILURE });
});

test('one that knows errors finds an error', async () => {
  const lines: string[] = [];
  const logger = createTerminalLogger('info', 'test', { write: (line) => void lines.push(line), hasColours: false });
  await failing(logger, () => lines.some((line) => line.includes(DEAD)));
  expect(lines.find((line) => line.includes(DEAD))).toContain('error: the printer is on fire');
});
