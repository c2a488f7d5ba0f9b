import { inspect } from 'node:util';
import { errorJson } from '../lifecycle/error-json.ts';
import { logLine } from '../lifecycle/log-line.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { maskJson } from '../util/mask.ts';

/** pino's numbers, so that its tools read the lines. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const;

/**
 * JSON lines on standard error, which the worker collects; URLs are masked in every line. Not pino: a process is made for
 * each task, and what it loads is paid for each time.
 */
export function childLogger(bindings: object): Logger {
  const log = (level: keyof typeof LEVELS) => (given: object, givenText: string) => {
    const { fields: said, text } = logLine(given, givenText);
    const fields = Object.fromEntries(Object.entries(said).map(([name, value]) => [name, errorJson(value)]));
    const head = { level: LEVELS[level], time: Date.now(), ...bindings };
    const line = asJson({ ...head, ...fields, msg: text }) ?? asJson({ ...head, fields: inspect(fields), msg: text });
    process.stderr.write(`${maskJson(line ?? '')}\n`);
  };
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
}

/** Undefined for what contains itself. */
function asJson(line: object): string | undefined {
  try {
    return JSON.stringify(line, plain);
  } catch {
    return undefined;
  }
}

/** The value as it was given: an error's own form as JSON may have more than is to be told. */
function plain(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const given = this[key];
  const told = errorJson(given);
  if (told !== given) return told;
  return typeof value === 'bigint' ? String(value) : value;
}
