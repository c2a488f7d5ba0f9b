import type { Socket } from 'node:net';
import type { Logger } from '../../lifecycle/logger.ts';
import type { Users } from './authentication.ts';
import { Channel, type ChannelLink } from './channel.ts';
import type { DirectReplies } from './direct-replies.ts';
import { hasCapability } from './fields.ts';
import { describeFrame, FRAME } from './frame.ts';
import { FrameReader } from './frame-reader.ts';
import { FRAME_MAX, Handshake, type Session } from './handshake.ts';
import { Heartbeat } from './heartbeat.ts';
import { methodId, readMethod } from './method-codec.ts';
import type { Method, MethodName } from './method-table.ts';
import { Output } from './output.ts';
import type { OutputBudget } from './output-budget.ts';
import { type MethodNumbers, NO_METHOD, ProtocolError } from './protocol-error.ts';
import type { Queue } from './queue.ts';
import type { VirtualHost } from './virtual-host.ts';

/** The broker, as its connections need it. */
export interface ConnectionHost {
  readonly vhost: VirtualHost;
  readonly replies: DirectReplies;
  readonly budget: OutputBudget;
  readonly users: Users;
  readonly heartbeatSeconds: number;
  readonly logger: Logger;
  /** Whether publishers wait, because queued messages fill the memory they may. */
  readonly isBlocked: boolean;
  ended(connection: Connection): void;
}

/**
 * One client.
 *
 *   greeting ──"AMQP"0091──▶ handshake ──open──▶ open ──our close──▶ closing ──close-ok──▶ closed
 *                                └────the client's close────▶ leaving ──socket closed────▶
 *   any ──────other bytes, refused login, lost socket, dead peer──────────────────────────▶
 */
type ConnectionState = 'greeting' | 'handshake' | 'open' | 'closing' | 'leaving' | 'closed';

const PROTOCOL_HEADER = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');
/** A client that does not get through the handshake, or does not answer our close, is cut off after this time. */
const HANDSHAKE_MS = 10_000;
const CLOSE_MS = 5_000;
/** A peer that lets this much of its own replies lie unread is not listened to any more until it reads. */
const UNREAD_LIMIT_BYTES = 16 * 1024 * 1024;

export class Connection implements ChannelLink {
  readonly output: Output;
  readonly vhost: VirtualHost;
  readonly replies: DirectReplies;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #reader = new FrameReader(FRAME_MAX);
  readonly #channels = new Map<number, Channel>();
  #state: ConnectionState = 'greeting';
  #greeting = Buffer.alloc(0);
  #handshake: Handshake | undefined;
  #session: Session | undefined;
  #heartbeat: Heartbeat | undefined;
  #deadline: NodeJS.Timeout;
  #hasReceived = false;
  #hasPublished = false;
  #isPaused = false;
  #isToldBlocked = false;
  readonly #unflushed = new Set<Channel>();

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.vhost = host.vhost;
    this.replies = host.replies;
    this.output = new Output(socket, host.budget, FRAME_MAX);
    this.#deadline = setTimeout(() => this.#end('handshake timeout'), HANDSHAKE_MS);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#socketClosed());
  }

  get state(): ConnectionState {
    return this.#state;
  }
  get user(): string {
    return this.#session?.user ?? '';
  }
  get cancelsConsumers(): boolean {
    return this.#has('consumer_cancel_notify');
  }
  get channels(): Iterable<Channel> {
    return this.#channels.values();
  }

  #has(capability: string): boolean {
    return this.#session !== undefined && hasCapability(this.#session.clientProperties, capability);
  }

  // -------------------------------------------------------------------------------------------------- bytes come

  #onData(chunk: Buffer): void {
    this.#hasReceived = true;
    try {
      if (this.#state === 'greeting') this.#greet(chunk);
      else if (this.#state !== 'closed')
        this.#reader.push(chunk, (type, number, payload) => this.#onFrame(type, number, payload));
    } catch (error) {
      this.#fail(error);
    }
    for (const channel of this.#unflushed) channel.flush();
    this.#unflushed.clear();
    this.regulate();
  }

  #greet(chunk: Buffer): void {
    this.#greeting = Buffer.concat([this.#greeting, chunk]);
    if (this.#greeting.length < PROTOCOL_HEADER.length) return;
    const rest = this.#greeting.subarray(PROTOCOL_HEADER.length);
    if (!this.#greeting.subarray(0, PROTOCOL_HEADER.length).equals(PROTOCOL_HEADER)) {
      this.output.raw(PROTOCOL_HEADER);
      this.#finish('another protocol');
      return;
    }
    this.#state = 'handshake';
    this.#handshake = new Handshake(this.output, this.#host.users, this.#host.heartbeatSeconds);
    if (rest.length > 0) this.#reader.push(rest, (type, number, payload) => this.#onFrame(type, number, payload));
  }

  #onFrame(type: number, number: number, payload: Buffer): void {
    if (this.#state === 'closed') return;
    if (number === 0) {
      this.#onConnectionFrame(type, payload);
      return;
    }
    if (this.#state === 'closing' || this.#state === 'leaving') return;
    if (this.#state === 'handshake') {
      throw new ProtocolError('CHANNEL_ERROR', `unexpected frame on channel ${number} before connection.open`);
    }
    if (type < FRAME.method || type > FRAME.body) throw strayFrame(type, payload);
    const channel = this.#channels.get(number) ?? this.#openChannel(number);
    try {
      channel.receive(type, payload);
    } catch (error) {
      this.#failChannel(channel, error);
    }
  }

  #openChannel(number: number): Channel {
    const limit = this.#session?.channelMax ?? 0;
    if (limit !== 0 && this.#channels.size >= limit) {
      throw new ProtocolError(
        'NOT_ALLOWED',
        `number of channels opened (${this.#channels.size}) has reached the negotiated channel_max (${limit})`,
      );
    }
    const channel = new Channel(number, this);
    this.#channels.set(number, channel);
    return channel;
  }

  #failChannel(channel: Channel, error: unknown): void {
    if (error instanceof ProtocolError && error.scope === 'channel' && channel.state === 'open') {
      this.#host.logger.debug({ channel: channel.number, reply: error.replyText }, 'embedded broker: channel refused');
      channel.fail(error);
      return;
    }
    this.#fail(error, channel.methodId);
  }

  // ---------------------------------------------------------------------------------------------- the connection

  #onConnectionFrame(type: number, payload: Buffer): void {
    if (type === FRAME.heartbeat && payload.length === 0) return;
    if (type !== FRAME.method) {
      if (this.#state !== 'open' && this.#state !== 'handshake') return;
      throw strayFrame(type, payload);
    }
    const method = readMethod(payload);
    try {
      this.#onMethod(method);
    } catch (error) {
      this.#fail(error, methodId(method.name));
    }
  }

  #onMethod(method: Method): void {
    if (method.name === 'connection.close') {
      this.#leave();
      return;
    }
    if (this.#state === 'closing' || this.#state === 'leaving') {
      if (method.name === 'connection.close-ok') this.#finish('closed by the broker');
      return;
    }
    if (this.#state === 'open') {
      this.#onOpenMethod(method.name);
      return;
    }
    const session = this.#handshake?.receive(method);
    if (session) this.#opened(session);
  }

  #onOpenMethod(name: MethodName): void {
    if (name === 'connection.update-secret') {
      this.output.method(0, 'connection.update-secret-ok', {});
      return;
    }
    throw new ProtocolError('CHANNEL_ERROR', 'unexpected method in connection state running');
  }

  #opened(session: Session): void {
    clearTimeout(this.#deadline);
    this.#session = session;
    this.#state = 'open';
    this.#reader.maxFrameBytes = session.frameMax;
    this.output.maxFrameBytes = session.frameMax;
    this.#heartbeat = new Heartbeat(session.heartbeatSeconds, {
      takeSent: () => this.output.takeWritten(),
      takeReceived: () => this.#takeReceived(),
      sendHeartbeat: () => this.output.heartbeat(),
      peerIsDead: () => this.#end('missed heartbeats from client'),
    });
    this.#host.logger.debug({ user: session.user }, 'embedded broker: connection open');
  }

  /** A connection that we do not read cannot show its heartbeats. */
  #takeReceived(): boolean {
    const hasReceived = this.#hasReceived || this.#isPaused;
    this.#hasReceived = false;
    return hasReceived;
  }

  /** Refuses what the client did: tells it, waits for its close-ok, cuts it off when that does not come. */
  #fail(error: unknown, at: MethodNumbers = NO_METHOD): void {
    if (this.#state !== 'handshake' && this.#state !== 'open') {
      this.#end('error while closing');
      return;
    }
    const refusal =
      error instanceof ProtocolError ? error : new ProtocolError('INTERNAL_ERROR', 'the broker failed at this');
    const log = { reply: refusal.replyText, state: this.#state };
    if (refusal === error) this.#host.logger.debug(log, 'embedded broker: connection refused');
    else this.#host.logger.error({ ...log, error }, 'embedded broker: internal error');
    if (this.#state === 'handshake' && refusal.replyName === 'ACCESS_REFUSED' && !this.#handshake?.wantsRefusal) {
      this.#finish('login refused');
      return;
    }
    this.close(refusal, at);
  }

  /** Tells the client that its connection ends, and why; one that has ended but for its socket is hung up. */
  close(reason: ProtocolError, at: MethodNumbers = NO_METHOD): void {
    if (this.#state === 'leaving') this.#finish('closed by the client');
    if (this.#state === 'closed' || this.#state === 'closing') return;
    if (this.#state === 'greeting') {
      this.#end(reason.replyText);
      return;
    }
    for (const channel of this.#channels.values()) channel.flush();
    this.#state = 'closing';
    this.#release();
    this.output.method(0, 'connection.close', {
      replyCode: reason.replyCode,
      replyText: reason.replyText,
      ...(reason.at ?? at),
    });
    this.#endSoon('no close-ok');
  }

  /** At once, without good-byes. */
  cutOff(why: string): void {
    this.#end(why);
    this.#socket.destroy();
  }

  /** The client closes: it also ends the socket, and some take our end of it before they have read the close-ok. */
  #leave(): void {
    if (this.#state !== 'leaving') this.#release();
    this.#state = 'leaving';
    this.output.method(0, 'connection.close-ok', {});
    this.#endSoon('closed by the client');
  }

  /** Sends what is left, then ends the socket. */
  #finish(why: string): void {
    this.output.flush();
    this.#end(why, true);
  }

  #endSoon(why: string): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end(why), CLOSE_MS);
  }

  #end(why: string, isGraceful = false): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearTimeout(this.#deadline);
    this.output.close();
    this.#release();
    this.#host.logger.debug({ user: this.user, why }, 'embedded broker: connection ended');
    if (!isGraceful) {
      this.#socket.destroy();
      return;
    }
    this.#socket.end();
    // What the client still sends is read and dropped: unread bytes would reset the socket under our last frames.
    this.#socket.resume();
    this.#deadline = setTimeout(() => this.#socket.destroy(), CLOSE_MS);
  }

  #socketClosed(): void {
    this.#end('the client closed the socket');
    clearTimeout(this.#deadline);
    this.#host.ended(this);
  }

  /** Gives back all that the connection had: first its messages, then what was exclusively its own. */
  #release(): void {
    this.#heartbeat?.stop();
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    for (const channel of channels) channel.cut();
    for (const channel of channels) channel.giveUp();
    const own: readonly Queue[] = [...this.vhost.queues.values()].filter((queue) => queue.definition.owner === this);
    for (const queue of own) this.vhost.deleteQueue(queue);
  }

  // ------------------------------------------------------------------------------------------------ channels' link

  flushLater(channel: Channel): void {
    this.#unflushed.add(channel);
  }

  published(): void {
    this.#hasPublished = true;
  }

  closed(channel: Channel): void {
    this.#channels.delete(channel.number);
  }

  // --------------------------------------------------------------------------------------------------- slow peers

  #onDrain(): void {
    this.output.drained();
    for (const channel of this.#channels.values()) channel.relieveAll();
    this.regulate();
  }

  /** Reads on, or lets the client wait: when it does not read its replies, or publishes more than there is room for. */
  regulate(): void {
    if (this.#state !== 'open') {
      this.#read(true);
      return;
    }
    const isBlocked = this.#hasPublished && this.#host.isBlocked;
    if (isBlocked !== this.#isToldBlocked && this.#has('connection.blocked')) {
      this.#isToldBlocked = isBlocked;
      if (isBlocked) this.output.method(0, 'connection.blocked', { reason: 'low on memory' });
      else this.output.method(0, 'connection.unblocked', {});
    }
    const isOverBudget = this.#hasPublished && this.#host.budget.isOver;
    this.#read(!isBlocked && !isOverBudget && this.output.unwrittenBytes < UNREAD_LIMIT_BYTES);
  }

  #read(isReading: boolean): void {
    if (isReading !== this.#isPaused) return;
    this.#isPaused = !isReading;
    if (isReading) this.#socket.resume();
    else this.#socket.pause();
  }
}

/** A frame that cannot stand where it does: of a known type 505, else 501. */
function strayFrame(type: number, payload: Buffer): ProtocolError {
  const isKnown =
    type === FRAME.header ||
    type === FRAME.body ||
    type === FRAME.method ||
    (type === FRAME.heartbeat && payload.length === 0);
  const text = describeFrame(type, payload);
  return isKnown
    ? new ProtocolError('UNEXPECTED_FRAME', text)
    : new ProtocolError('FRAME_ERROR', `${text}: unknown_frame`);
}
