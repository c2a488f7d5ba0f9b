import type { Socket } from 'node:net';
import { ChannelSet } from './channel-set.ts';
import type { ConnectionHost } from './connection-host.ts';
import type { ConnectionState } from './connection-state.ts';
import { Farewell } from './farewell.ts';
import { hasCapability } from './fields.ts';
import { FRAME, FRAME_MIN_SIZE } from './frame.ts';
import { FrameReader } from './frame-reader.ts';
import { Greeting, PROTOCOL_HEADER } from './greeting.ts';
import { FRAME_MAX, Handshake, type Session } from './handshake.ts';
import { methodId, readMethod } from './method-codec.ts';
import type { Method, MethodName } from './method-table.ts';
import { Output } from './output.ts';
import { type MethodNumbers, NO_METHOD, ProtocolError } from './protocol-error.ts';
import { Pulse } from './pulse.ts';
import { ReadGate } from './read-gate.ts';
import { asRefusal } from './refusal.ts';
import { strayFrame } from './stray-frame.ts';
import type { Unacked } from './unacked-messages.ts';

/** One client, from its first byte to the end of its socket. The states: connection-state.ts. */
export class Connection {
  readonly #output: Output;
  readonly #socket: Socket;
  readonly #host: ConnectionHost;
  // Until the peers have agreed on a size, only what every peer must take may be sent.
  readonly #reader = new FrameReader(FRAME_MIN_SIZE);
  #channels: ChannelSet | undefined;
  #state: ConnectionState = 'greeting';
  readonly #greeting = new Greeting();
  readonly #gate: ReadGate;
  #handshake: Handshake | undefined;
  #session: Session | undefined;
  readonly #pulse: Pulse;
  readonly #farewell: Farewell;

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.#output = new Output(socket, host.budget, FRAME_MAX, host.isKept);
    this.#gate = new ReadGate(socket, this.#output, host);
    this.#pulse = new Pulse(this.#output, this.#gate, () => this.#end('missed heartbeats from client'));
    this.#farewell = new Farewell(socket);
    this.#farewell.unlessGreeted(() => this.#end('handshake timeout'));
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
  /** Deliveries that wait to be settled. */
  unsettled(): readonly Unacked[] {
    return this.#channels?.unsettled() ?? [];
  }

  #has(capability: string): boolean {
    return this.#session !== undefined && hasCapability(this.#session.clientProperties, capability);
  }

  #onData(chunk: Buffer): void {
    this.#pulse.received();
    try {
      if (this.#state === 'greeting') this.#greet(chunk);
      else if (this.#state !== 'closed')
        this.#reader.push(chunk, (type, number, payload) => this.#onFrame(type, number, payload));
    } catch (error) {
      this.#fail(error);
    }
    this.#channels?.flush();
    this.regulate();
  }

  #greet(chunk: Buffer): void {
    const rest = this.#greeting.push(chunk);
    if (rest === undefined) return;
    if (rest === 'refused') {
      this.#output.raw(PROTOCOL_HEADER);
      this.#finish('another protocol');
      return;
    }
    this.#state = 'handshake';
    this.#handshake = new Handshake(this.#output, this.#host.users, this.#host.heartbeatSeconds);
    if (rest.length > 0) this.#reader.push(rest, (type, number, payload) => this.#onFrame(type, number, payload));
  }

  #onFrame(type: number, number: number, payload: Buffer): void {
    if (this.#state === 'closed') return;
    if (number === 0) {
      this.#onConnectionFrame(type, payload);
      return;
    }
    if (this.#state === 'closing' || this.#state === 'leaving') return;
    if (this.#state === 'handshake') throw strayFrame(type, payload);
    this.#channels?.receive(type, number, payload);
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
      this.#output.method(0, 'connection.update-secret-ok', {});
      return;
    }
    throw new ProtocolError('CHANNEL_ERROR', 'unexpected method in connection state running');
  }

  #opened(session: Session): void {
    this.#farewell.calledOff();
    this.#session = session;
    this.#channels = new ChannelSet({
      ...this.#host,
      output: this.#output,
      user: session.user,
      channelMax: session.channelMax,
      cancelsConsumers: hasCapability(session.clientProperties, 'consumer_cancel_notify'),
    });
    this.#state = 'open';
    this.#reader.maxFrameBytes = session.frameMax;
    this.#output.maxFrameBytes = session.frameMax;
    this.#pulse.start(session.heartbeatSeconds);
    this.#host.logger.debug({ user: session.user }, 'embedded broker: connection open');
  }

  /** Refuses what the client did: tells it, waits for its close-ok, cuts it off when that does not come. */
  #fail(error: unknown, at: MethodNumbers = NO_METHOD): void {
    // After our close nothing that still comes matters, and what follows a broken frame cannot be read.
    if (this.#state !== 'handshake' && this.#state !== 'open') return;
    const refusal = asRefusal(error, this.#host.logger);
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
    this.#channels?.flush();
    this.#state = 'closing';
    this.#release();
    this.#output.method(0, 'connection.close', {
      replyCode: reason.replyCode,
      replyText: reason.replyText,
      ...(reason.at ?? at),
    });
    this.#farewell.unlessAnswered(() => this.#end('no close-ok'));
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
    this.#output.method(0, 'connection.close-ok', {});
    this.#farewell.unlessAnswered(() => this.#end('closed by the client'));
  }

  /** Sends what is left, then ends the socket. */
  #finish(why: string): void {
    this.#output.flush();
    this.#end(why, true);
  }

  #end(why: string, isGraceful = false): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#farewell.calledOff();
    this.#output.close();
    this.#release();
    this.#host.logger.debug({ user: this.user, why }, 'embedded broker: connection ended');
    if (isGraceful) this.#farewell.hangUp();
    else this.#socket.destroy();
  }

  #socketClosed(): void {
    this.#end('the client closed the socket');
    this.#farewell.calledOff();
    this.#host.ended(this);
  }

  #release(): void {
    this.#pulse.stop();
    this.#channels?.release();
  }

  #onDrain(): void {
    this.#output.drained();
    this.#channels?.relieve();
    this.regulate();
  }

  /** Reads on, or lets the client wait. */
  regulate(): void {
    if (this.#state === 'open')
      this.#gate.regulate(this.#channels?.hasPublished ?? false, this.#has('connection.blocked'));
    else this.#gate.open();
  }
}
