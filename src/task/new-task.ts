import { validate as isUuid } from 'uuid';
import { InvalidArgumentError } from '../errors.ts';
import { kindOf } from '../util/assert-object.ts';
import { currentCorrelation } from '../util/correlation.ts';
import { type Duration, keptDurationMs } from '../util/duration.ts';
import { currentTraceparent } from '../util/trace-context.ts';
import { encodeJson } from '../wire/json.ts';
import type { TaskDefinition } from './definition.ts';
import type { NewTask } from './sql/submit.ts';
import type { TaskId } from './state.ts';

export interface StartOptions {
  /** The task's id, a UUID; the same id again submits nothing more. @default a new UUIDv7 */
  readonly id?: TaskId;
  /** As the id, of the caller's own choice; belongs to the task's name and the submitter. 1 to 255 characters. */
  readonly idempotencyKey?: string;
  /** When it is to begin, at the earliest. @default now */
  readonly at?: Date;
  /** The same from now on, by the database's clock; a number is seconds. Not together with `at`. */
  readonly delay?: Duration;
  /** Who asks for it, to list by and to check; at most 255 characters. @default '' */
  readonly submitter?: string;
  /**
   * Where to write: a transaction's handle, `'ambient'`, or `'own'`. @default the transaction that the code runs in, else
   * one of its own
   */
  readonly transaction?: unknown;
}

export const START_OPTIONS: readonly (keyof StartOptions)[] = [
  'id',
  'idempotencyKey',
  'submitter',
  'at',
  'delay',
  'transaction',
];

/** What options are now: a `Date` may be changed by whoever gave it, while the client of tasks is waited for. */
export function asGiven<Options extends StartOptions>(options: Options): Options {
  // What is no object is told so by whoever reads it.
  if (kindOf(options) !== 'object') return options;
  return options.at instanceof Date ? { ...options, at: new Date(options.at.getTime()) } : { ...options };
}

/**
 * The row of a task, from what its caller says.
 * @throws InvalidArgumentError, UnserialisablePayloadError
 */
export function newTask(
  { name, maxConcurrency, onFull, resultTtlMs, handOvers }: TaskDefinition,
  args: unknown,
  options: StartOptions,
  { id, queue }: { readonly id: string; readonly queue: string },
): NewTask {
  const { idempotencyKey, at, delay, submitter = '' } = options;
  if (!isUuid(id)) throw new InvalidArgumentError('id', 'a UUID', JSON.stringify(id).slice(0, 80));
  assertText('submitter', submitter);
  // An empty one, which a variable that is not set makes, would be everybody's.
  if (idempotencyKey !== undefined) assertText('idempotencyKey', idempotencyKey, 1);
  if (at !== undefined && delay !== undefined) throw new InvalidArgumentError('at', 'at or delay', 'both');
  return {
    // As PostgreSQL writes it: notices, messages and rows tell of the task by this text.
    id: id.toLowerCase(),
    name,
    args: encodeJson(args, 'arguments'),
    maxConcurrency,
    holdsSlot: maxConcurrency > 0 && onFull === 'reject',
    queue,
    submitter,
    idempotencyKey: idempotencyKey ?? null,
    dueAt: at === undefined ? null : validTime(at),
    delayMs: delay === undefined ? null : keptDurationMs(delay, 'delay', 's'),
    resultTtlMs,
    handOvers,
    correlationId: currentCorrelation()?.correlationId ?? null,
    traceparent: currentTraceparent() ?? null,
    chosenKey:
      idempotencyKey === undefined ? (options.id?.toLowerCase() ?? null) : `${name} ${submitter} ${idempotencyKey}`,
  };
}

const MAX_TEXT = 255;

function assertText(argument: string, text: unknown, least: 0 | 1 = 0): void {
  if (typeof text === 'string' && text.length >= least && text.length <= MAX_TEXT && !text.includes('\0')) return;
  const got =
    typeof text !== 'string' ? kindOf(text) : text.includes('\0') ? 'one with NUL' : `${text.length} characters`;
  const length = least === 0 ? `at most ${MAX_TEXT}` : `${least} to ${MAX_TEXT}`;
  throw new InvalidArgumentError(argument, `a text of ${length} characters without NUL`, got);
}

/** PostgreSQL reads no ISO 8601 of other years. */
function validTime(at: Date): string {
  const year = at instanceof Date ? at.getUTCFullYear() : Number.NaN;
  if (year >= 1 && year <= 9999) return at.toISOString();
  throw new InvalidArgumentError('at', 'a valid Date of a year from 1 to 9999', String(at));
}
