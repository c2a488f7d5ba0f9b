import { FIELD_TYPE_NAMES, type Field, type FieldTable } from './field-table.ts';
import { type Properties, readProperties, writeProperties } from './properties.ts';
import { ProtocolError } from './protocol-error.ts';

/** Longest `expiration` and TTL that RabbitMQ 3.10 takes, in ms: ten years. */
export const MAX_TTL_MS = 315_360_000_000;

const NO_KEYS: readonly string[] = Object.freeze([]);

/**
 * A message as it is held in queues: one object whatever number of queues holds it, never changed.
 * Properties stay encoded, so that they leave byte for byte as they came.
 */
export class Message {
  readonly exchange: string;
  /** Of `basic.publish`, or of the dead-lettering that made this message. */
  readonly routingKey: string;
  /** Keys of the CC header, which are routed as well. */
  readonly copyKeys: readonly string[];
  /** Keys of the BCC header, which is taken off. */
  readonly blindKeys: readonly string[];
  readonly encodedProperties: Buffer;
  readonly body: Buffer;
  readonly isPersistent: boolean;
  readonly priority: number;
  /** Its `expiration`, ms. */
  readonly ttlMs: number | undefined;

  /**
   * @param properties what `encodedProperties` says
   * @throws ProtocolError 406 for an expiration, CC or BCC that cannot be
   */
  constructor(
    exchange: string,
    routingKey: string,
    encodedProperties: Buffer,
    body: Buffer,
    properties: Properties = readProperties(encodedProperties),
  ) {
    const headers = properties.headers;
    this.exchange = exchange;
    this.routingKey = routingKey;
    this.body = body;
    this.copyKeys = headers ? keysIn(headers, 'CC') : NO_KEYS;
    this.blindKeys = headers ? keysIn(headers, 'BCC') : NO_KEYS;
    this.encodedProperties = headers?.has('BCC')
      ? writeProperties({ ...properties, headers: without(headers, 'BCC') })
      : encodedProperties;
    this.isPersistent = properties.deliveryMode === 2;
    this.priority = properties.priority ?? 0;
    this.ttlMs = properties.expiration === undefined ? undefined : parseExpiration(properties.expiration);
  }

  /** Decoded anew each time: few messages are ever looked into. */
  properties(): Properties {
    return readProperties(this.encodedProperties);
  }

  /** What length limits in bytes count, as in RabbitMQ. */
  get bodyBytes(): number {
    return this.body.length;
  }

  get routingKeys(): readonly string[] {
    return [this.routingKey, ...this.copyKeys, ...this.blindKeys];
  }
}

export function without(table: FieldTable, key: string): FieldTable {
  const copy = new Map(table);
  copy.delete(key);
  return copy;
}

function keysIn(headers: FieldTable, name: 'CC' | 'BCC'): readonly string[] {
  const field: Field | undefined = headers.get(name);
  if (!field) return NO_KEYS;
  if (field.type !== 'A') {
    throw new ProtocolError(
      'PRECONDITION_FAILED',
      `invalid message: {unacceptable_type_in_header,"${name}",${FIELD_TYPE_NAMES[field.type]}}`,
    );
  }
  return field.value.flatMap((item) => (item.type === 'S' ? [item.value] : []));
}

function parseExpiration(text: string): number {
  const digits = /^[+-]?\d+/.exec(text)?.[0];
  if (digits === undefined) throw badExpiration(text, 'no_integer');
  if (digits !== text) throw badExpiration(text, `{leftover_string,${JSON.stringify(text.slice(digits.length))}}`);
  const value = Number(text);
  if (value < 0) throw badExpiration(text, `{value_negative,${value}}`);
  if (value > MAX_TTL_MS) throw badExpiration(text, `{value_too_large,${value}}`);
  return value;
}

const badExpiration = (text: string, why: string): ProtocolError =>
  new ProtocolError('PRECONDITION_FAILED', `invalid expiration '${text}': ${why}`);
