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

/** Bytes as Erlang prints them: RabbitMQ's texts quote frames so. */
export function erlangBytes(bytes: Buffer): string {
  const isText = bytes.length > 0 && bytes.every((byte) => byte >= 0x20 && byte < 0x7f);
  return isText ? `<<${JSON.stringify(bytes.toString('latin1'))}>>` : `<<${[...bytes].join(',')}>>`;
}

const SHOWN_OCTETS = 16;
/** `type 1, all octets = <<0,10>>`: the start of RabbitMQ's texts about a frame. */
export function describeFrame(type: number, payload: Buffer): string {
  const which = payload.length > SHOWN_OCTETS ? `first ${SHOWN_OCTETS}` : 'all';
  return `type ${type}, ${which} octets = ${erlangBytes(payload.subarray(0, SHOWN_OCTETS))}`;
}
