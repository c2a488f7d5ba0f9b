import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../../util/duration.ts';
import type { Action } from '../program.ts';

type Add = <Args extends readonly unknown[]>(
  usage: string,
  description: string,
  load: () => Promise<Action<Args>>,
) => Command;

/** The commands of `svc-comm process` with their options. */
export function addProcess(add: Add): void {
  add('ls', 'list processes, or the instances of one', async () => (await import('./process-look.ts')).ls)
    .argument('[process]', 'instances of this one, the newest first')
    .option('-n, --limit <n>', 'how many instances', limit, 20);
  add('show', 'print a process, or an instance', async () => (await import('./process-look.ts')).show).argument(
    '<id>',
    'of the process, or of the instance',
  );
  add('run', 'create an instance, and wait for its end', async () => (await import('./process-run.ts')).run)
    .argument('<process>', 'its id')
    .option('-d, --data <json>', 'the input: JSON, @FILE, or - for standard input', '{}')
    .option('--id <uuid>', 'the id that it is to have; the same again creates nothing more')
    .option('--detach', 'do not wait for the asynchronous tasks')
    .option('--timeout <duration>', 'how long to wait, e.g. 30s; it goes on', duration);
  add('cancel', 'end an instance with all of its tasks', async () => (await import('./process-run.ts')).cancel)
    .argument('<id>', 'of the instance')
    .option('--timeout <duration>', 'how long to wait until it has ended', duration, 60_000);
}

/** @returns milliseconds; a bare number is seconds */
function duration(text: string): number {
  const ms = parseDuration(/^\d+(\.\d+)?$/.test(text) ? Number(text) : text, 's');
  if (ms === undefined || ms <= 0) throw new InvalidArgumentError('It must be a duration such as 500ms, 30s or 5m.');
  return ms;
}

function limit(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 1000) return value;
  throw new InvalidArgumentError('It must be a whole number, 1 to 1000.');
}
