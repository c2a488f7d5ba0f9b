import type { Field, FieldTable } from './field-table.ts';
import { integerOf, longField, textOf } from './fields.ts';
import { Message, without } from './message.ts';
import { type Properties, writeProperties } from './properties.ts';
import type { Queue } from './queue.ts';
import type { DeathReason } from './queue-definition.ts';

type Death = FieldTable;
const MAX_KEY_BYTES = 255;
const text = (value: string): Field => ({ type: 'S', value });

export interface DeadLetter {
  readonly message: Message;
  /** What it is routed by: also the blind copies of the original, unless the queue names a key. */
  readonly routingKeys: readonly string[];
  /** Queues whose dead letter it has been, with nobody rejecting it since: it must not come there again by itself. */
  isCycle(queue: Queue): boolean;
}

/**
 * A message as it goes to the dead-letter exchange: `x-death` counted, `expiration` taken off.
 * @param nowMs clock time
 * @throws when the queue has no routing key for it that could be one
 */
export function deadLetter(queue: Queue, message: Message, reason: DeathReason, nowMs: number): DeadLetter {
  const { deadLetterRoutingKey: newKey } = queue.definition.settings;
  const { expiration, ...properties } = message.properties();
  const headers = properties.headers ?? new Map<string, Field>();
  const deaths = deathsIn(headers);
  const next = addDeath(deaths, deathOf(queue, message, reason, nowMs, expiration));
  const marked = new Map(newKey === undefined ? headers : without(headers, 'CC'));
  marked.set('x-death', { type: 'A', value: next.map((value): Field => ({ type: 'F', value })) });
  if (!headers.has('x-death')) {
    marked.set('x-first-death-exchange', text(message.exchange));
    marked.set('x-first-death-queue', text(queue.name));
    marked.set('x-first-death-reason', text(reason));
  }
  const dead: Properties = { ...properties, headers: marked };
  const routingKey = newKey ?? message.routingKey;
  // The argument is a long string, and travels (and is kept) as a short one: cut, all behind it would be misread.
  if (routingKey.length > MAX_KEY_BYTES) {
    throw new Error(`x-dead-letter-routing-key has ${routingKey.length} bytes, a routing key ${MAX_KEY_BYTES} at most`);
  }
  return {
    routingKeys: newKey === undefined ? message.routingKeys : [newKey],
    message: new Message(deadLetterExchange(queue), routingKey, writeProperties(dead), message.body, dead),
    isCycle: (target) => reason !== 'rejected' && isAutomaticCycle(next, target.name),
  };
}

const deadLetterExchange = (queue: Queue): string => queue.definition.settings.deadLetterExchange ?? '';

/** The deaths so far, one for each queue and reason: brokers before 3.5.2 wrote one for each time, without a count. */
function deathsIn(headers: FieldTable): readonly Death[] {
  const field = headers.get('x-death');
  const all = field?.type === 'A' ? field.value.flatMap((item) => (item.type === 'F' ? [item.value] : [])) : [];
  const firsts = all.filter((death, at) => all.findIndex((other) => isSame(other, death)) === at);
  return firsts.map((death) => {
    const times = all.filter((other) => isSame(other, death)).length;
    return times === 1 || death.has('count') ? death : sorted(new Map(death).set('count', longField(times)));
  });
}

const isSame = (a: Death, b: Death): boolean =>
  textOf(a.get('queue')) === textOf(b.get('queue')) && textOf(a.get('reason')) === textOf(b.get('reason'));

const sorted = (death: Death): Death => new Map([...death].sort(([a], [b]) => (a < b ? -1 : 1)));

function deathOf(
  queue: Queue,
  message: Message,
  reason: DeathReason,
  nowMs: number,
  expiration: string | undefined,
): Death {
  const keys = [message.routingKey, ...message.copyKeys].map(text);
  return new Map<string, Field>([
    ['count', longField(1)],
    ['reason', text(reason)],
    ['queue', text(queue.name)],
    ['time', { type: 'T', value: BigInt(Math.floor(nowMs / 1000)) }],
    ['exchange', text(message.exchange)],
    ['routing-keys', { type: 'A', value: keys }],
    ...(expiration === undefined ? [] : [['original-expiration', text(expiration)] as const]),
  ]);
}

/** One entry for each queue and reason, the latest first. */
function addDeath(deaths: readonly Death[], death: Death): readonly Death[] {
  const before = deaths.find((other) => isSame(other, death));
  const first = before ? new Map(before).set('count', longField(oneMore(before.get('count')))) : death;
  // RabbitMQ sorts the fields of all but the very first death.
  return [deaths.length === 0 ? first : sorted(first), ...deaths.filter((other) => !isSame(other, death))];
}

/** Any client may have written the count: one that no broker comes to must not be more than the field holds. */
const oneMore = (count: Field | undefined): number =>
  Math.min(Math.max(integerOf(count) ?? 0, 0) + 1, Number.MAX_SAFE_INTEGER);

function isAutomaticCycle(deaths: readonly Death[], queueName: string): boolean {
  const at = deaths.findIndex((death) => textOf(death.get('queue')) === queueName);
  return at !== -1 && deaths.slice(0, at + 1).every((death) => textOf(death.get('reason')) !== 'rejected');
}
