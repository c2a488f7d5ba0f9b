import type { SqlExecutor } from '../database/executor.ts';
import { InvalidArgumentError } from '../errors.ts';
import { assertKnownNames, assertTexts } from '../util/assert-object.ts';
import { cancelSelected } from './sql/cancel-selected.ts';
import { listFuture } from './sql/list-future.ts';
import { assertName, type Tags } from './validate.ts';

/** Which future events: all that is given must hold. */
export interface FutureSelection {
  readonly aggregate?: string | undefined;
  readonly eventType?: string | undefined;
  /** Those that have all of these tags with these values; a number and its text are two values. @default {} */
  readonly tags?: Tags | undefined;
  /** Any of these event ids. */
  readonly ids?: readonly string[] | undefined;
}

export interface WaitingFutureEvent {
  /** Also the AMQP `message_id`. */
  readonly eventId: string;
  readonly eventTime: Date;
  readonly aggregate: string;
  readonly eventType: string;
  readonly key: string | undefined;
  readonly tags: Tags;
}

export interface FutureEvents {
  /** How many are selected. */
  readonly selected: number;
  /** The first of them to become due. */
  readonly events: readonly WaitingFutureEvent[];
  /** Messages that wait beside them, of retries (`RetryLater`) and delayed tasks: no events, and nothing here touches them. */
  readonly retries: number;
}

/**
 * Future events that were not published yet, those that are due next first.
 * @param limit most that are returned, ≥ 0; the count is of all
 * @throws InvalidArgumentError, MigrationRequiredError, DatabaseUnavailableError
 */
export async function futureEvents(
  executor: SqlExecutor,
  schema: string,
  selection: FutureSelection,
  limit: number,
): Promise<FutureEvents> {
  if (!Number.isSafeInteger(limit) || limit < 0 || limit > MAX_LISTED) {
    throw new InvalidArgumentError('limit', `a whole number from 0 to ${MAX_LISTED}`, String(limit));
  }
  assertSelection(selection);
  return listFuture(executor, schema, selection, limit);
}

const MAX_LISTED = 10_000;

/**
 * Cancels future events. One that is published meanwhile is not counted: each is cancelled or published, never both.
 * @returns how many were cancelled
 * @throws InvalidArgumentError when nothing is selected by, lest a forgotten filter cancel them all;
 *   MigrationRequiredError, DatabaseUnavailableError
 */
export async function cancelFutureEvents(
  executor: SqlExecutor,
  schema: string,
  selection: FutureSelection,
): Promise<number> {
  assertSelection(selection);
  const { aggregate, eventType, tags = {}, ids } = selection;
  if (aggregate === undefined && eventType === undefined && ids === undefined && Object.keys(tags).length === 0) {
    throw new InvalidArgumentError('selection', 'an aggregate, an event type, tags or event ids', 'none of them');
  }
  return cancelSelected(executor, schema, selection);
}

const SELECTION: Readonly<Record<keyof FutureSelection, true>> = {
  aggregate: true,
  eventType: true,
  tags: true,
  ids: true,
};

/** What selects nothing by mistake, a name among them that is not known, would select more than was meant. */
function assertSelection(selection: FutureSelection): void {
  assertKnownNames('selection', selection, Object.keys(SELECTION));
  const { aggregate, eventType, ids } = selection;
  if (aggregate !== undefined) assertName('aggregate', aggregate, true);
  if (eventType !== undefined) assertName('eventType', eventType, true);
  if (ids !== undefined) assertTexts('ids', ids);
}
