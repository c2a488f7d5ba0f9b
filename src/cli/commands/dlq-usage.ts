import { type Command, InvalidArgumentError } from 'commander';
import { DEAD_REASONS, type DeadReason } from '../../message/handler.ts';
import { parseDuration } from '../../util/duration.ts';
import type { Action } from '../program.ts';

type Add = <Args extends readonly unknown[]>(
  usage: string,
  description: string,
  load: () => Promise<Action<Args>>,
) => Command;

/** The commands of `svc-comm dlq` with their options. */
export function addDlq(add: Add): void {
  add('ls', 'count them by reason and handler', async () => (await import('./dlq-look.ts')).ls);
  filtered(
    add('show', 'print the oldest ones, with history and body', async () => (await import('./dlq-look.ts')).show),
  )
    .option('-n, --limit <n>', 'how many', atLeastOne, 10)
    .option('--max-body <bytes>', 'longest body that is printed whole', atLeastOne, 4096);
  filtered(add('redrive', 'put them back to work', async () => (await import('./dlq-sweep.ts')).redrive))
    .option('-n, --limit <n>', 'at most so many', atLeastOne)
    .option('--dry-run', 'only say how many')
    .option('--rate <n/s>', 'at most so many each second', rate)
    .option('--force', 'also those that are older than what the inbox remembers (inbox.retention)');
  filtered(add('drop', 'take them out for good', async () => (await import('./dlq-sweep.ts')).drop))
    .option('-n, --limit <n>', 'at most so many', atLeastOne)
    .option('--dry-run', 'only say how many')
    .option('-y, --yes', 'do not ask');
}

const filtered = (command: Command): Command =>
  command
    .option('--reason <word>', `only with this reason (repeatable): ${DEAD_REASONS.join(', ')}`, reason)
    .option('--handler <name>', 'only of this handler (repeatable)', collect)
    .option('--id <message-id>', 'only this message (repeatable)', collect)
    .option('--since <time>', 'only given up since: ISO 8601, UTC if without offset, or for so long, e.g. 2h', since);

const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

function reason(text: string, before: readonly DeadReason[] = []): readonly DeadReason[] {
  const found = DEAD_REASONS.find((known) => known === text);
  if (!found) throw new InvalidArgumentError(`It must be one of ${DEAD_REASONS.join(', ')}.`);
  return [...before, found];
}

/** Of other texts, such as `5`, JavaScript makes times that nobody meant. */
const ISO_8601 = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:\d{2})?)?$/;

/** A time without an offset is in UTC, as the times that we print. */
function since(text: string): Date {
  const agoMs = parseDuration(text);
  const [, day, time = '00:00', offset = 'Z'] = ISO_8601.exec(text) ?? [];
  const date = new Date(agoMs === undefined ? `${day}T${time}${offset}` : Date.now() - agoMs);
  if (Number.isNaN(date.getTime()))
    throw new InvalidArgumentError('It must be a time such as 2026-01-31T12:00Z, or 2h.');
  return date;
}

function atLeastOne(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1) return value;
  throw new InvalidArgumentError('It must be a whole number ≥ 1.');
}

function rate(text: string): number {
  const value = Number(/^(\d+(?:\.\d+)?)(?:\/s)?$/.exec(text)?.[1]);
  if (value > 0) return value;
  throw new InvalidArgumentError('It must be a number > 0, such as 50/s.');
}
