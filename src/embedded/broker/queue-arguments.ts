import { FIELD_TYPE_NAMES, type Field, type FieldTable } from './field-table.ts';
import { integerOf, isTrue, textOf } from './fields.ts';
import { MAX_TTL_MS } from './message.ts';
import { ProtocolError } from './protocol-error.ts';

export const QUEUE_TYPES = ['classic', 'quorum'] as const;
export type QueueType = (typeof QUEUE_TYPES)[number];
export const OVERFLOWS = ['drop-head', 'reject-publish', 'reject-publish-dlx'] as const;
export type Overflow = (typeof OVERFLOWS)[number];

/** What a queue's arguments mean to it. */
export interface QueueSettings {
  readonly type: QueueType;
  readonly ttlMs: number | undefined;
  readonly expiresMs: number | undefined;
  readonly maxLength: number | undefined;
  readonly maxLengthBytes: number | undefined;
  readonly overflow: Overflow;
  readonly deadLetterExchange: string | undefined;
  readonly deadLetterRoutingKey: string | undefined;
  readonly maxPriority: number;
  readonly isSingleActiveConsumer: boolean;
  readonly deliveryLimit: number | undefined;
}

/** Why an argument is wrong, in RabbitMQ's words, or `undefined`. */
type Check = (field: Field, args: FieldTable) => string | undefined;

const wrongType = (field: Field): string => `{unacceptable_type,${FIELD_TYPE_NAMES[field.type]}}`;
const nonNegative: Check = (field) => {
  const value = integerOf(field);
  if (value === undefined) return `"expected integer, got ${FIELD_TYPE_NAMES[field.type]}"`;
  return value < 0 ? `{value_negative,${value}}` : undefined;
};
const ttl: Check = (field, args) => {
  const value = integerOf(field);
  return value !== undefined && value > MAX_TTL_MS ? `{value_too_large,${value}}` : nonNegative(field, args);
};
const expires: Check = (field, args) => (integerOf(field) === 0 ? '{value_zero,0}' : ttl(field, args));
const priority: Check = (field, args) => {
  const value = integerOf(field);
  return value !== undefined && value > 255 ? `{max_value_exceeded,${value}}` : nonNegative(field, args);
};
const text: Check = (field) => (field.type === 'S' ? undefined : wrongType(field));
const bool: Check = (field) => (field.type === 't' ? undefined : wrongType(field));
const oneOf =
  (reason: string, values: readonly string[]): Check =>
  (field) => {
    if (field.type !== 'S') return wrongType(field);
    return values.includes(field.value) ? undefined : reason;
  };
const mode: Check = (field) => oneOf(`"unsupported queue mode '${field.value}'"`, ['default', 'lazy'])(field, NO_ARGS);
const version: Check = (field, args) => {
  const isKnown = [1, 2].includes(integerOf(field) ?? 0);
  return isKnown ? undefined : (nonNegative(field, args) ?? `"unsupported queue version '${field.value}'"`);
};
const positive: Check = (field, args) => (integerOf(field) === 0 ? '{value_zero,0}' : nonNegative(field, args));
const routingKey: Check = (field, args) => {
  if (field.type !== 'S') return wrongType(field);
  return args.has('x-dead-letter-exchange') ? undefined : 'routing_key_but_no_dlx_defined';
};
const type: Check = (field) =>
  oneOf(`"unsupported queue type '${field.value}'"`, [...QUEUE_TYPES, 'stream'])(field, NO_ARGS);
const NO_ARGS: FieldTable = new Map();

/** In RabbitMQ's order, which decides what is told when several are wrong. */
const CHECKS: readonly (readonly [string, Check])[] = [
  ['x-expires', expires],
  ['x-message-ttl', ttl],
  ['x-dead-letter-exchange', text],
  ['x-dead-letter-routing-key', routingKey],
  ['x-dead-letter-strategy', oneOf('invalid_dlx_strategy', ['at-most-once', 'at-least-once'])],
  ['x-max-length', nonNegative],
  ['x-max-length-bytes', nonNegative],
  ['x-max-in-memory-length', nonNegative],
  ['x-max-in-memory-bytes', nonNegative],
  ['x-max-priority', priority],
  ['x-overflow', oneOf('invalid_overflow', OVERFLOWS)],
  ['x-queue-mode', mode],
  ['x-queue-version', version],
  ['x-single-active-consumer', bool],
  ['x-queue-type', type],
  ['x-quorum-initial-group-size', positive],
  [
    'x-queue-leader-locator',
    oneOf('invalid_queue_locator_arg', ['client-local', 'balanced', 'random', 'least-leaders']),
  ],
];

const BOTH = [
  'x-expires',
  'x-message-ttl',
  'x-dead-letter-exchange',
  'x-dead-letter-routing-key',
  'x-max-length',
  'x-max-length-bytes',
  'x-overflow',
  'x-single-active-consumer',
  'x-queue-type',
];
/** The arguments that a type takes, which must also be the same when a queue is declared again. */
export const ARGUMENTS_OF: Readonly<Record<QueueType, readonly string[]>> = Object.freeze({
  classic: [...BOTH, 'x-max-priority', 'x-queue-mode', 'x-queue-version', 'x-queue-master-locator'],
  quorum: [
    ...BOTH,
    'x-dead-letter-strategy',
    'x-max-in-memory-length',
    'x-max-in-memory-bytes',
    'x-quorum-initial-group-size',
    'x-delivery-limit',
    'x-queue-leader-locator',
  ],
});
/** Arguments that some type takes: of those, a queue gets only its own; others that nobody knows are passed over. */
const KNOWN: ReadonlySet<string> = new Set([
  ...ARGUMENTS_OF.classic,
  ...ARGUMENTS_OF.quorum,
  'x-max-age',
  'x-stream-max-segment-size-bytes',
  'x-initial-cluster-size',
]);

/**
 * @param described `queue 'orders' in vhost '/'`
 * @throws ProtocolError 406 for an argument that RabbitMQ refuses
 */
export function resolveQueueArguments(args: FieldTable, described: string): QueueSettings {
  const refuse = (name: string, why: string) =>
    new ProtocolError('PRECONDITION_FAILED', `invalid arg '${name}' for ${described}: ${why}`);
  const typeField = args.get('x-queue-type');
  const wrong = typeField && type(typeField, args);
  if (wrong) throw refuse('x-queue-type', wrong);
  const queueType = queueTypeOf(args, described);
  const own = ARGUMENTS_OF[queueType];
  for (const [name, check] of CHECKS) {
    const field = own.includes(name) ? args.get(name) : undefined;
    const why = field && check(field, args);
    if (why) throw refuse(name, why);
  }
  for (const name of args.keys()) {
    if (!KNOWN.has(name) || own.includes(name)) continue;
    throw new ProtocolError(
      'PRECONDITION_FAILED',
      `invalid arg '${name}' for ${described} of queue type ${moduleOf(queueType)}`,
    );
  }
  return {
    type: queueType,
    ttlMs: integerOf(args.get('x-message-ttl')),
    expiresMs: integerOf(args.get('x-expires')),
    maxLength: integerOf(args.get('x-max-length')),
    maxLengthBytes: integerOf(args.get('x-max-length-bytes')),
    overflow: (textOf(args.get('x-overflow')) as Overflow | undefined) ?? 'drop-head',
    deadLetterExchange: textOf(args.get('x-dead-letter-exchange')),
    deadLetterRoutingKey: textOf(args.get('x-dead-letter-routing-key')),
    maxPriority: integerOf(args.get('x-max-priority')) ?? 0,
    isSingleActiveConsumer: isTrue(args.get('x-single-active-consumer')),
    deliveryLimit: integerOf(args.get('x-delivery-limit')),
  };
}

/** RabbitMQ's texts name the module that implements the type. */
export const moduleOf = (queueType: QueueType): string => `rabbit_${queueType}_queue`;

/** @throws ProtocolError 540 for a stream */
export function queueTypeOf(args: FieldTable, described: string): QueueType {
  const name = textOf(args.get('x-queue-type'));
  if (name === 'stream') throw new ProtocolError('NOT_IMPLEMENTED', `${described}: streams are not implemented`);
  return name === 'quorum' ? 'quorum' : 'classic';
}
