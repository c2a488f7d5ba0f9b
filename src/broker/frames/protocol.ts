/** AMQP 0-9-1 §4.2: type, channel (two bytes), size (four); the payload; a last byte that is always the same. */
export const FRAME = Object.freeze({ method: 1, header: 2, body: 3 });
export const FRAME_HEAD_BYTES = 7;
export const FRAME_END = 0xce;
export const FRAME_OVERHEAD_BYTES = FRAME_HEAD_BYTES + 1;

/** Class, weight and size of the body come before the flags of a content header (§4.2.6.1). */
export const CONTENT_CLASS = 60;
export const CONTENT_FLAGS_AT = 12;

const basic = (method: number): number => CONTENT_CLASS * 2 ** 16 + method;

/** Class and method of those that are read or written here; amqplib has the others. */
export const METHOD = Object.freeze({
  publish: basic(40),
  returned: basic(50),
  deliver: basic(60),
  ack: basic(80),
  reject: basic(90),
  nack: basic(120),
});

/** Which properties a content header has, in their order there (§4.2.6.1, generated reference 1.8.1). */
export const FLAG = Object.freeze({
  contentType: 1 << 15,
  contentEncoding: 1 << 14,
  headers: 1 << 13,
  deliveryMode: 1 << 12,
  priority: 1 << 11,
  correlationId: 1 << 10,
  replyTo: 1 << 9,
  expiration: 1 << 8,
  messageId: 1 << 7,
  timestamp: 1 << 6,
  type: 1 << 5,
  userId: 1 << 4,
  appId: 1 << 3,
});
