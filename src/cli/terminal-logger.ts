import { inspect } from 'node:util';
import { fieldsJson } from '../lifecycle/error-json.ts';
import { logLine } from '../lifecycle/log-line.ts';
import { LOG_LEVELS, type Logger, type LogLevel } from '../lifecycle/logger.ts';
import { maskUrl } from '../util/mask.ts';
import { isError } from '../util/thrown.ts';
import { printable } from './printable.ts';

/** Of roles, so that several of one process are told apart: none of those that levels have. */
const ROLE_COLOURS = Object.freeze([35, 34, 32, 95, 94, 92]);
const COLOURS = { debug: 90, info: 36, warn: 33, error: 31 } as const;
type Level = keyof typeof COLOURS;

export interface TerminalLoggerOptions {
  /** Takes each line, its line break included. @default standard error */
  readonly write?: (line: string) => void;
  /** @default on, unless NO_COLOR is set */
  readonly hasColours?: boolean;
  readonly now?: () => Date;
}

/** For people: `14:03:07.512 warn  consumer  text  field=value`, an error's message behind it, its stack at debug level. */
export function createTerminalLogger(level: LogLevel, role: string, options: TerminalLoggerOptions = {}): Logger {
  const { write = (line) => process.stderr.write(line), now = () => new Date() } = options;
  const hasColours = options.hasColours ?? !process.env.NO_COLOR;
  const paint = (code: number, text: string) => (hasColours ? `\u001b[${code}m${text}\u001b[0m` : text);
  const least = LOG_LEVELS.indexOf(level);
  const log = (of: Level) => (given: object, givenText: string) => {
    if (LOG_LEVELS.indexOf(of) < least) return;
    const { fields, text } = logLine(given, givenText);
    const head = `${paint(90, timeOf(now()))} ${paint(COLOURS[of], of.padEnd(5))} ${paint(colourOf(role), role.padEnd(9))} ${text}`;
    const details = Object.entries(fields).map(([name, value]) => detail(name, value, level === 'debug'));
    write(maskUrl([head, ...details.map((text) => paint(90, text))].join('  ')).concat('\n'));
  };
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
}

/** The same for a role each time. */
function colourOf(role: string): number {
  const sum = [...role].reduce((total, sign) => total + (sign.codePointAt(0) ?? 0), 0);
  return ROLE_COLOURS[sum % ROLE_COLOURS.length] ?? 0;
}

function detail(name: string, value: unknown, withStack: boolean): string {
  if (isError(value)) {
    return printable(withStack ? `\n${value.stack ?? value.message}` : `${name}: ${value.message}`);
  }
  return printable(`${name}=${typeof value === 'string' ? value : shown(value)}`).replaceAll('\n', '\\n');
}

/** What JSON cannot carry (a BigInt, what contains itself) is no reason to fail whoever logs it. */
function shown(value: unknown): string {
  const { told } = fieldsJson({ told: value });
  try {
    return JSON.stringify(told) ?? String(told);
  } catch {
    return inspect(told, { breakLength: Number.POSITIVE_INFINITY });
  }
}

function timeOf(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
