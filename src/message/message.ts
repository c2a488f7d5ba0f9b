/** An AMQP header value as amqplib reads and writes it. */
export type HeaderValue =
  | string
  | number
  | boolean
  | null
  | undefined
  | Uint8Array
  | readonly HeaderValue[]
  | { readonly [key: string]: HeaderValue };

export type Headers = { readonly [name: string]: HeaderValue };

/** AMQP 0-9-1 basic properties (section 1.8.1 of the generated reference), all optional. */
export interface MessageProperties {
  readonly contentType?: string | undefined;
  readonly contentEncoding?: string | undefined;
  readonly headers?: Headers | undefined;
  /** 2 is persistent. Everything that svc-comm sends is. */
  readonly deliveryMode?: number | undefined;
  readonly priority?: number | undefined;
  readonly correlationId?: string | undefined;
  readonly replyTo?: string | undefined;
  /** Whole milliseconds as a string, 0 < ms ≤ 4,294,967,295. */
  readonly expiration?: string | undefined;
  readonly messageId?: string | undefined;
  /** Seconds since the epoch. */
  readonly timestamp?: number | undefined;
  readonly type?: string | undefined;
  readonly userId?: string | undefined;
  readonly appId?: string | undefined;
}

/** What goes out. An empty exchange is the default exchange: the routing key names a queue. */
export interface Message {
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Uint8Array;
  readonly properties: MessageProperties;
  /** The exchange is another's to make, who named it: where it is missing, the message reaches nobody. */
  readonly isExchangeForeign?: true | undefined;
}

/** Longest exchange, queue, routing-key and message-id text in bytes (AMQP shortstr). */
export const MAX_NAME_BYTES = 255;

/** Bodies over this are refused before anything is written or sent. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** Headers of ours; `docs/wire.md` lists them. */
export const HEADER = Object.freeze({
  /** The aggregate's id: events of one key are delivered and handled in commit order. */
  key: 'svc-comm-key',
  /** On a copy in a retry or dead queue: where the message first came from. */
  exchange: 'svc-comm-exchange',
  routingKey: 'svc-comm-routing-key',
  /** On a copy: how many handler runs have failed so far. */
  attempt: 'svc-comm-attempt',
  /** On a copy: the last 10 failures, as JSON. */
  failures: 'svc-comm-failures',
  /** On a copy in the dead letters: why it is there, one word. */
  reason: 'svc-comm-reason',
  /** On a copy in the dead letters: which handler gave it up. */
  handler: 'svc-comm-handler',
  /** On a copy that was put back to work from the dead letters: when. */
  redriven: 'svc-comm-redriven',
  /** On a copy: the first delivery's `CC` header, which would send the copy to those queues as well. */
  cc: 'svc-comm-cc',
  /** On a copy: the first delivery's `x-death` and its like, by which the broker would take the copy for what it is not. */
  deaths: 'svc-comm-deaths',
  /** On a copy: the first delivery's `user_id`, which the broker only takes from that user. */
  userId: 'svc-comm-user-id',
  /** On a copy: the first delivery had no message id; the one it has now is for publishing only. */
  noMessageId: 'svc-comm-no-message-id',
  /** On a copy: properties of the first delivery that cannot be written in their own place. */
  properties: 'svc-comm-properties',
  /** On a copy: names of headers left out because the header block was over the limit. */
  dropped: 'svc-comm-dropped-headers',
  traceparent: 'traceparent',
});
