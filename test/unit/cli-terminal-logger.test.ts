import { describe, expect, it } from 'vitest';
import { createTerminalLogger } from '../../src/cli/terminal-logger.ts';
import type { LogLevel } from '../../src/lifecycle/logger.ts';

function logged(level: LogLevel, work: (logger: ReturnType<typeof createTerminalLogger>) => void, hasColours = false) {
  const lines: string[] = [];
  const now = () => new Date(2024, 0, 2, 3, 4, 5, 6);
  work(createTerminalLogger(level, 'consumer', { write: (line) => lines.push(line), hasColours, now }));
  return lines;
}

describe('the log on a terminal', () => {
  it('has one line with time, level, role, text and fields', () => {
    const lines = logged('info', (logger) => logger.info({ queue: 'orders', count: 3 }, 'consuming'));
    expect(lines).toEqual(['03:04:05.006 info  consumer  consuming  queue=orders  count=3\n']);
  });

  it('leaves out what is below the level', () => {
    const work = (logger: ReturnType<typeof createTerminalLogger>) => {
      logger.debug({}, 'a');
      logger.info({}, 'b');
      logger.warn({}, 'c');
      logger.error({}, 'd');
    };
    const texts = (level: LogLevel) => logged(level, work).map((line) => line.trim().at(-1));
    expect(texts('debug')).toEqual(['a', 'b', 'c', 'd']);
    expect(texts('warn')).toEqual(['c', 'd']);
    expect(texts('silent')).toEqual([]);
  });

  it('shows an error by its message, with the stack at debug level only', () => {
    const work = (logger: ReturnType<typeof createTerminalLogger>) =>
      logger.error({ error: new Error('broken') }, 'failed');
    expect(logged('info', work)).toEqual(['03:04:05.006 error consumer  failed  error: broken\n']);
    expect(logged('debug', work)[0]).toMatch(/failed {2}\nError: broken\n +at /);
  });

  it('takes an error instead of fields, and a text alone, as pino does', () => {
    const work = (logger: ReturnType<typeof createTerminalLogger>) => {
      logger.error(new Error('broken'), 'failed');
      Reflect.apply(logger.info, logger, ['a text']);
    };
    expect(logged('info', work)).toEqual([
      '03:04:05.006 error consumer  failed  error: broken\n',
      '03:04:05.006 info  consumer  a text\n',
    ]);
  });

  it('shows fields that JSON cannot carry, and does not fail the handler that logs them', () => {
    const circular: Record<string, unknown> = { id: 1 };
    circular.self = circular;
    const [line] = logged('info', (logger) => logger.info({ sum: 10n, order: { total: 5n }, circular }, 'counted'));
    expect(line).toContain('counted  sum=10n  order={ total: 5n }  circular=<ref *1> { id: 1, self: [Circular *1] }\n');
  });

  it('writes out control characters of what a sender wrote, so that it stays one line and does not steer the terminal', () => {
    const fields = { routingKey: 'a\u001b[2Jb\n03:04:05.006 info  forged', error: new Error('no \u009b31m') };
    const lines = logged('info', (logger) => logger.warn(fields, 'handler failed'));
    expect(lines).toEqual([
      '03:04:05.006 warn  consumer  handler failed  routingKey=a\\x1b[2Jb\\n03:04:05.006 info  forged  error: no \\x9b31m\n',
    ]);
  });

  it('hides passwords and colours the level', () => {
    const [line] = logged('info', (logger) => logger.warn({ url: 'amqp://u:c4n4ry@host' }, 'lost'), true);
    expect(line).not.toContain('c4n4ry');
    expect(line).toContain('\u001b[33mwarn ');
  });
});
