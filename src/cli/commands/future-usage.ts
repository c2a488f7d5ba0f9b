import { type Command, InvalidArgumentError } from 'commander';
import type { Tags } from '../../outbox/validate.ts';
import type { Action } from '../program.ts';

type Add = <Args extends readonly unknown[]>(
  usage: string,
  description: string,
  load: () => Promise<Action<Args>>,
) => Command;

/** The commands of `svc-comm future` with their options. */
export function addFuture(add: Add): void {
  selected(
    add('ls', 'count future events and print those that are due next', async () => (await import('./future.ts')).ls),
  ).option('-n, --limit <n>', 'how many are printed', atMostListed, 20);
  selected(add('cancel', 'take them out before their time', async () => (await import('./future.ts')).cancel))
    .option('--dry-run', 'only say how many')
    .option('-y, --yes', 'do not ask');
}

const selected = (command: Command): Command =>
  command
    .option('--aggregate <name>', 'only of this aggregate')
    .option('--event-type <type>', 'only of this type, e.g. remind.first')
    .option(
      '--tag <name=value>',
      'only with this tag (repeatable: all of them); a value that is JSON counts as such, and so does a name in quotes',
      tag,
    )
    .option('--id <event-id>', 'only this event (repeatable: any of them)', collect);

const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/**
 * `userId=1` is the number, `userId="1"` and `userId=a` are texts: tags are compared as the JSON that they are. A name
 * with `=` in it stands in quotes: `"a=b"=1`.
 */
function tag(text: string, before: Tags = {}): Tags {
  const [quoted] = QUOTED.exec(text) ?? [];
  const at = quoted === undefined ? text.indexOf('=') : quoted.length - 1;
  const name = quoted === undefined ? text.slice(0, at) : scalar(text.slice(0, at));
  if (at < 1 || typeof name !== 'string') throw new InvalidArgumentError('It must be name=value.');
  return { ...before, [name]: scalar(text.slice(at + 1)) };
}

const QUOTED = /^"(?:[^"\\]|\\.)*"=/;

function scalar(text: string): Tags[string] {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')
      return value;
  } catch {
    // no JSON: a text as it stands
  }
  return text;
}

function atMostListed(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 10_000) return value;
  throw new InvalidArgumentError('It must be a whole number, 0 to 10000.');
}
