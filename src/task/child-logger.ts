import type { Logger } from '../lifecycle/logger.ts';

/** pino's numbers, so that its tools read the lines. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const;

/**
 * JSON lines on standard error, which the worker collects. Not pino: a process is made for each task, and what it loads is
 * paid for each time.
 */
export function childLogger(bindings: object): Logger {
  const log = (level: keyof typeof LEVELS) => (fields: object, text: string) => {
    const line = { level: LEVELS[level], time: Date.now(), ...bindings, ...fields, msg: text };
    process.stderr.write(`${JSON.stringify(line, plain)}\n`);
  };
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
}

function plain(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { ...value, name: value.name, message: value.message, stack: value.stack };
  return typeof value === 'bigint' ? String(value) : value;
}
