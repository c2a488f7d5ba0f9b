import { type Direction, type Frame, FrameProxy, type Session } from './frame-proxy.ts';

export interface AmqpFrame extends Frame {
  readonly channel: number;
  /** Of acks, nacks, rejects and deliveries. */
  readonly tag: number;
  readonly multiple: boolean;
  readonly redelivered: boolean;
  /** Of publishes, returns and deliveries. */
  readonly routingKey: string;
  /** Of content headers. */
  readonly messageId: string | undefined;
}

export type AmqpProxy = FrameProxy<AmqpFrame, AmqpSession>;
export const amqpProxy = (url: string): Promise<AmqpProxy> =>
  FrameProxy.to<AmqpFrame, AmqpSession>(url, () => new AmqpSession());

const METHOD = 1;
const HEADER = 2;
/** Type, channel and size before the payload, an end octet after it (AMQP 0-9-1, 4.2.3). */
const OVERHEAD = 8;

const METHODS: ReadonlyMap<number, string> = new Map([
  [key(10, 50), 'connection.close'],
  [key(20, 40), 'channel.close'],
  [key(60, 20), 'basic.consume'],
  [key(60, 21), 'basic.consume-ok'],
  [key(60, 40), 'basic.publish'],
  [key(60, 50), 'basic.return'],
  [key(60, 60), 'basic.deliver'],
  [key(60, 80), 'basic.ack'],
  [key(60, 90), 'basic.reject'],
  [key(60, 120), 'basic.nack'],
  [key(85, 10), 'confirm.select'],
]);

function key(classId: number, methodId: number): number {
  return classId * 65_536 + methodId;
}

interface ChannelState {
  /** Publishes so far; undefined before confirm.select. */
  published: number | undefined;
  readonly unconfirmed: Set<number>;
  readonly unacked: Set<number>;
}

/** One AMQP connection as somebody on the wire sees it: what is unconfirmed and unacked, from its frames alone. */
export class AmqpSession implements Session<AmqpFrame> {
  readonly #rest: Record<Direction, Buffer> = { 'to-server': Buffer.alloc(0), 'to-client': Buffer.alloc(0) };
  readonly #channels = new Map<number, ChannelState>();
  #isGreeted = false;
  /** Since the connection began. */
  confirmed = 0;
  acked = 0;

  get unconfirmed(): number {
    return this.#sum((state) => state.unconfirmed);
  }

  get unacked(): number {
    return this.#sum((state) => state.unacked);
  }

  split(direction: Direction, bytes: Buffer): AmqpFrame[] {
    const rest = this.#rest[direction];
    let buffer = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const frames: AmqpFrame[] = [];
    if (direction === 'to-server' && !this.#isGreeted && buffer.length >= 8) {
      this.#isGreeted = true;
      frames.push({ ...NOTHING, kind: 'greeting', bytes: buffer.subarray(0, 8) });
      buffer = buffer.subarray(8);
    }
    while (buffer.length >= OVERHEAD) {
      const length = OVERHEAD + buffer.readUInt32BE(3);
      if (buffer.length < length) break;
      const frame = parse(buffer.subarray(0, length));
      this.#count(direction, frame);
      frames.push(frame);
      buffer = buffer.subarray(length);
    }
    this.#rest[direction] = Buffer.from(buffer);
    return frames;
  }

  #count(direction: Direction, { kind, channel, tag, multiple }: AmqpFrame): void {
    const isFromClient = direction === 'to-server';
    switch (kind) {
      case 'confirm.select':
        this.#channel(channel).published ??= 0;
        break;
      case 'basic.publish': {
        const state = this.#channel(channel);
        if (state.published === undefined) break;
        state.published += 1;
        state.unconfirmed.add(state.published);
        break;
      }
      case 'basic.deliver':
        this.#channel(channel).unacked.add(tag);
        break;
      case 'basic.ack':
      case 'basic.nack':
      case 'basic.reject': {
        const state = this.#channel(channel);
        const settled = settle(isFromClient ? state.unacked : state.unconfirmed, tag, multiple);
        if (isFromClient) this.acked += settled;
        else this.confirmed += settled;
        break;
      }
      case 'channel.close':
        this.#channels.delete(channel);
        break;
    }
  }

  #channel(number: number): ChannelState {
    let state = this.#channels.get(number);
    if (!state) {
      state = { published: undefined, unconfirmed: new Set(), unacked: new Set() };
      this.#channels.set(number, state);
    }
    return state;
  }

  #sum(of: (state: ChannelState) => ReadonlySet<number>): number {
    let sum = 0;
    for (const state of this.#channels.values()) sum += of(state).size;
    return sum;
  }
}

const NOTHING = Object.freeze({
  channel: 0,
  tag: 0,
  multiple: false,
  redelivered: false,
  routingKey: '',
  messageId: undefined,
});

/** Tags are in order of their making, and so is a Set. */
function settle(open: Set<number>, tag: number, multiple: boolean): number {
  if (!multiple) return open.delete(tag) ? 1 : 0;
  let count = 0;
  for (const each of open) {
    if (each > tag && tag !== 0) break;
    open.delete(each);
    count += 1;
  }
  return count;
}

function parse(bytes: Buffer): AmqpFrame {
  const type = bytes[0];
  const channel = bytes.readUInt16BE(1);
  if (type === HEADER) return { ...NOTHING, kind: 'content-header', bytes, channel, messageId: messageIdOf(bytes) };
  if (type !== METHOD) return { ...NOTHING, kind: type === 3 ? 'content-body' : 'heartbeat', bytes, channel };
  const classId = bytes.readUInt16BE(7);
  const methodId = bytes.readUInt16BE(9);
  const kind = METHODS.get(key(classId, methodId)) ?? `${classId}.${methodId}`;
  const frame = { ...NOTHING, kind, bytes, channel };
  switch (kind) {
    case 'basic.publish':
      return { ...frame, routingKey: shortString(bytes, afterShortString(bytes, 13)) };
    case 'basic.deliver': {
      const at = afterShortString(bytes, 11);
      return {
        ...frame,
        tag: Number(bytes.readBigUInt64BE(at)),
        redelivered: ((bytes[at + 8] ?? 0) & 1) === 1,
        routingKey: shortString(bytes, afterShortString(bytes, at + 9)),
      };
    }
    case 'basic.ack':
    case 'basic.nack':
      return { ...frame, tag: Number(bytes.readBigUInt64BE(11)), multiple: ((bytes[19] ?? 0) & 1) === 1 };
    case 'basic.reject':
      return { ...frame, tag: Number(bytes.readBigUInt64BE(11)) };
    default:
      return frame;
  }
}

const afterShortString = (bytes: Buffer, at: number): number => at + 1 + (bytes[at] ?? 0);
const shortString = (bytes: Buffer, at: number): string => bytes.toString('utf8', at + 1, afterShortString(bytes, at));

/** The property flags' bits from the highest: those before message-id are passed over (AMQP 0-9-1, 4.2.6.1). */
function messageIdOf(bytes: Buffer): string | undefined {
  const flags = bytes.readUInt16BE(19);
  let at = 21;
  const skipShortString = (bit: number) => {
    if (flags & (1 << bit)) at = afterShortString(bytes, at);
  };
  skipShortString(15);
  skipShortString(14);
  if (flags & (1 << 13)) at += 4 + bytes.readUInt32BE(at);
  if (flags & (1 << 12)) at += 1;
  if (flags & (1 << 11)) at += 1;
  skipShortString(10);
  skipShortString(9);
  skipShortString(8);
  return flags & (1 << 7) ? shortString(bytes, at) : undefined;
}
