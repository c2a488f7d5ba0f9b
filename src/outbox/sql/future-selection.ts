import { arrayLiteral } from '../../database/array-literal.ts';
import type { FutureSelection } from '../future-events.ts';
import { encodeTags } from '../validate.ts';

/**
 * What of the future table is an event and selected, on `$1` … `$4`. Messages to the default exchange are retries that
 * wait for their time: taking one out would lose it.
 */
export const IS_SELECTED = `exchange <> ''
   AND ($1::text IS NULL OR exchange = $1::text)
   AND ($2::text IS NULL OR routing_key = $2::text)
   AND tags @> $3::text::jsonb
   AND ($4::text IS NULL OR message_id::text = ANY ($4::text::text[]))`;

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) for tags that are no JSON scalars */
export const selectionParams = ({ aggregate, eventType, tags, ids }: FutureSelection): (string | null)[] => [
  aggregate ?? null,
  eventType ?? null,
  encodeTags(tags ?? {}),
  ids === undefined ? null : arrayLiteral(ids.map((id) => id.toLowerCase())),
];
