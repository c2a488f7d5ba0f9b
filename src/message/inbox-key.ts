import { exactId } from '../util/exact-ids.ts';
import { storable } from '../util/storable.ts';
import type { Incoming } from './handler.ts';
import type { InboxKey } from './inbox.ts';
import { MAX_NAME_BYTES } from './message.ts';

/**
 * What makes a message the same message: its queue, its sender, and its message id or else exchange and event id.
 * @param hasEventId whether an `eventId` in the body is that of an event, and no argument of a command or call
 * @returns undefined when it has neither id, so that no copy can be told from a second message
 */
export function inboxKeyOf(incoming: Incoming, hasEventId: boolean): InboxKey | undefined {
  const { queue, properties } = incoming.delivery;
  const id = properties.messageId || (hasEventId ? eventIdOf(incoming) : undefined);
  return id ? { queue, source: keep(properties.appId ?? ''), messageId: keep(id) } : undefined;
}

const keep = (text: string): string => storable(text, MAX_NAME_BYTES);

function eventIdOf(incoming: Incoming): string | undefined {
  const body = readableBody(incoming);
  if (typeof body !== 'object' || body === null || isCommand(body)) return undefined;
  const id = idIn(body, 'eventId') ?? idIn(body, 'event_id');
  return (typeof id === 'string' && id !== '') || Number.isFinite(id) || typeof id === 'bigint'
    ? `${incoming.exchange}/${id}`
    : undefined;
}

/** Events have a payload. The `meta` of a command lies among its arguments, in front of a consumer of any message too. */
const isCommand = (body: object): boolean => Object.hasOwn(body, 'meta') && !Object.hasOwn(body, 'payload');

/** A body may be parsed when it is first read, and be malformed: whoever decodes it says so. */
function readableBody(incoming: Incoming): unknown {
  try {
    return incoming.body;
  } catch {
    return undefined;
  }
}

const idIn = (body: object, name: string): unknown =>
  exactId(body, name) ?? Object.getOwnPropertyDescriptor(body, name)?.value;
