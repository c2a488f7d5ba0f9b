/** `basic.deliver`: class 60, method 60. */
const DELIVER = 0x003c003c;
const METHOD = 1;
const HEAD_BYTES = 7;

/**
 * A filter of a server's AMQP stream for `TcpProxy.filterToClient` that can take out deliveries, each with its header
 * and body frames, and lets everything else pass. It reads from a connection's first byte on, so that it knows where
 * frames begin.
 */
export function deliveryFilter(isDropping: () => boolean): (bytes: Buffer) => Buffer {
  let rest: Buffer = Buffer.alloc(0);
  /** Channels whose content frames belong to a delivery that was taken out. */
  const dropped = new Set<number>();
  return (bytes) => {
    const passed: Buffer[] = [];
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= HEAD_BYTES) {
      const end = HEAD_BYTES + rest.readUInt32BE(3) + 1;
      if (rest.length < end) break;
      const frame = rest.subarray(0, end);
      rest = rest.subarray(end);
      const channel = frame.readUInt16BE(1);
      if (frame[0] === METHOD) {
        const isDelivery = frame.length >= HEAD_BYTES + 4 && frame.readUInt32BE(HEAD_BYTES) === DELIVER;
        if (isDelivery && isDropping()) dropped.add(channel);
        else dropped.delete(channel);
      }
      // heartbeats are on channel 0, which has no deliveries
      if (!dropped.has(channel)) passed.push(frame);
    }
    return Buffer.concat(passed);
  };
}
