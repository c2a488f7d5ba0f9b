import { type Command, InvalidArgumentError } from 'commander';
import { TASK_STATES, type TaskState } from '../../task/state.ts';
import { parseDuration } from '../../util/duration.ts';
import { inexactNumber } from '../../wire/inexact-number.ts';
import type { Action } from '../program.ts';

type Add = <Args extends readonly unknown[]>(
  usage: string,
  description: string,
  load: () => Promise<Action<Args>>,
) => Command;

/** The commands of `svc-comm task` with their options. */
export function addTask(add: Add): void {
  add('run', 'start a task and print what it returns', async () => (await import('./task-run.ts')).run)
    .argument('<name>', 'of the task')
    .option('--args <json>', 'its arguments as a JSON object', jsonObject)
    .option('-a, --arg <name=value>', 'one argument (repeatable); a value that is JSON counts as such', argument)
    .option('--detach', 'print its id and do not wait')
    .option('--timeout <duration>', 'how long to wait, e.g. 30s; the task goes on', duration)
    .option('--delay <duration>', 'begin so much later, e.g. 5m', duration)
    .option('--id <uuid>', 'the id that it is to have')
    .option('--key <text>', 'idempotency key: the same again starts nothing more', key);
  add('ls', 'list tasks, the newest first', async () => (await import('./task-look.ts')).ls)
    .argument('[name]', 'only of this task')
    .option('--state <state>', `only in this state (repeatable): ${TASK_STATES.join(', ')}`, state)
    .option('-n, --limit <n>', 'how many', limit, 20);
  add(
    'show',
    'print a task: state, arguments, result, output',
    async () => (await import('./task-look.ts')).show,
  ).argument('<id>', 'of the task');
  add('cancel', 'end a task with all of its processes', async () => (await import('./task-cancel.ts')).cancel)
    .argument('[id]', 'of the task')
    .option('--all <name>', 'every one of this name that waits or runs')
    .option('--timeout <duration>', 'how long to wait until it has ended', duration, 60_000);
}

function jsonObject(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // told below
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const number = inexactNumber(text);
    if (number === undefined) return value;
    throw new InvalidArgumentError(`The number ${number.slice(0, 40)} has more digits than a double holds: quote it.`);
  }
  throw new InvalidArgumentError('It must be a JSON object such as \'{"x":3}\'.');
}

function argument(text: string, before: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be name=value.');
  return { ...before, [text.slice(0, at)]: jsonOrText(text.slice(at + 1)) };
}

function jsonOrText(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    // As it is written: the argument's type knows what it is to be.
    return inexactNumber(text) === undefined ? value : text;
  } catch {
    return text;
  }
}

/** Of an empty one, which a variable that is not set makes, unrelated starts would be the same. */
function key(text: string): string {
  if (text.length >= 1 && text.length <= 255) return text;
  throw new InvalidArgumentError('It must be a text of 1 to 255 characters.');
}

/** @returns milliseconds; a bare number is seconds */
function duration(text: string): number {
  const ms = parseDuration(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text, 's');
  if (ms === undefined || ms <= 0) throw new InvalidArgumentError('It must be a duration such as 500ms, 30s or 5m.');
  return ms;
}

function state(text: string, before: readonly TaskState[] = []): readonly TaskState[] {
  const found = TASK_STATES.find((known) => known === text.toUpperCase());
  if (!found) throw new InvalidArgumentError(`It must be one of ${TASK_STATES.join(', ')}.`);
  return [...before, found];
}

function limit(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 1000) return value;
  throw new InvalidArgumentError('It must be a whole number, 1 to 1000.');
}
