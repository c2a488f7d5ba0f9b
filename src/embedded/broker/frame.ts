/** Frame types of AMQP 0-9-1. */
export const FRAME = Object.freeze({ method: 1, header: 2, body: 3, heartbeat: 8 });
export const FRAME_END = 0xce;
/** Type, channel and length before the payload. */
export const FRAME_HEAD_BYTES = 7;
/** Head and end octet. */
export const FRAME_OVERHEAD_BYTES = 8;
/** Every peer must take frames of this size. */
export const FRAME_MIN_SIZE = 4096;
/** Class 60: the only class with content. */
export const CONTENT_CLASS = 60;
/** Class, weight and body size before the properties. */
export const CONTENT_HEAD_BYTES = 12;
