import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export type Direction = 'to-server' | 'to-client';

export interface Frame {
  /** `basic.publish`, `query`: what the protocol calls it. */
  readonly kind: string;
  readonly bytes: Buffer;
}

/** Cuts the two streams of one connection into frames, and knows what they mean together. */
export interface Session<F extends Frame> {
  split(direction: Direction, bytes: Buffer): F[];
}

/**
 * What becomes of a frame.
 * - `hold`: it and all that follows it in its direction waits for `release`; `hold-both`: in both directions
 * - `last`: it is passed, what follows it in both directions is held
 * - `cut`: both ends are reset, the frame is not sent; `half`: after half of the frame
 */
export type Action = 'pass' | 'hold' | 'hold-both' | 'last' | 'cut' | 'half';
export type Rule<F extends Frame, S> = (frame: F, direction: Direction, wire: Wire<S>) => Action;

/** One direction of a connection: what is delayed or held waits here, in order. */
class Lane {
  readonly #to: Socket;
  #waiting: { readonly bytes: Buffer; readonly atMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isHeld = false;

  constructor(to: Socket) {
    this.#to = to;
  }

  send(bytes: Buffer, delayMs: number): void {
    if (!this.#isHeld && delayMs === 0 && this.#waiting.length === 0) this.#to.write(bytes);
    else {
      this.#waiting.push({ bytes, atMs: performance.now() + delayMs });
      this.#pump();
    }
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#pump();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #pump(): void {
    clearTimeout(this.#timer);
    while (!this.#isHeld) {
      const [first] = this.#waiting;
      if (!first) return;
      const leftMs = first.atMs - performance.now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), leftMs);
        return;
      }
      this.#waiting.shift();
      this.#to.write(first.bytes);
    }
  }
}

/** One connection by way of the proxy. */
export class Wire<S> {
  readonly session: S;
  readonly client: Socket;
  readonly server: Socket;
  readonly lanes: Readonly<Record<Direction, Lane>>;

  constructor(client: Socket, server: Socket, session: S) {
    this.client = client;
    this.server = server;
    this.session = session;
    this.lanes = { 'to-server': new Lane(server), 'to-client': new Lane(client) };
  }

  hold(direction?: Direction): void {
    if (direction !== 'to-client') this.lanes['to-server'].hold();
    if (direction !== 'to-server') this.lanes['to-client'].hold();
  }

  release(): void {
    this.lanes['to-server'].release();
    this.lanes['to-client'].release();
  }

  /** What is held is thrown away. */
  cut(): void {
    for (const lane of Object.values(this.lanes)) lane.close();
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
  }
}

/**
 * A TCP proxy that knows where frames begin: it fails as networks do (cut, refuse, half-open, accept and hang, delay), and
 * at a frame that a rule picks. Bytes never get lost in the middle of a stream, since TCP does not do that: what is not
 * passed on is followed by nothing, or by a reset.
 */
export class FrameProxy<F extends Frame, S extends Session<F>> {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #open: () => S;
  readonly #wires = new Set<Wire<S>>();
  #server: Server | undefined;
  #port = 0;
  #mode: 'forward' | 'refuse' | 'silent' = 'forward';
  #rule: Rule<F, S> | undefined;
  #delayMs = 0;
  readonly #watchers: ((frame: F, direction: Direction, wire: Wire<S>) => void)[] = [];

  private constructor(target: { host: string; port: number }, open: () => S) {
    this.#target = target;
    this.#open = open;
  }

  static async to<F extends Frame, S extends Session<F>>(url: string, open: () => S): Promise<FrameProxy<F, S>> {
    const { hostname, port } = new URL(url);
    const proxy = new FrameProxy<F, S>({ host: hostname, port: Number(port) }, open);
    await proxy.#listen();
    return proxy;
  }

  /** The same URL, by way of the proxy. */
  url(target: string): string {
    const url = new URL(target);
    url.hostname = '127.0.0.1';
    url.port = String(this.#port);
    return url.href;
  }

  get wires(): readonly Wire<S>[] {
    return [...this.#wires];
  }

  cut(): void {
    for (const wire of this.#wires) wire.cut();
  }

  /** Resets new connections as soon as they come. */
  refuse(): void {
    this.#mode = 'refuse';
  }

  /** Half-open: nothing passes and nothing is closed; new connections are accepted and hear nothing. */
  fallSilent(): void {
    this.#mode = 'silent';
    for (const wire of this.#wires) wire.hold();
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** The watcher sees every frame before it is passed on. */
  watch(watcher: (frame: F, direction: Direction, wire: Wire<S>) => void): void {
    this.#watchers.push(watcher);
  }

  /** One rule at a time; undefined takes it away. */
  set rule(rule: Rule<F, S> | undefined) {
    this.#rule = rule;
  }

  /** Everything passes again, and what was held first. */
  heal(): void {
    this.#mode = 'forward';
    this.#delayMs = 0;
    this.#rule = undefined;
    for (const wire of this.#wires) wire.release();
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.cut();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  async #listen(): Promise<void> {
    const server = createServer((client) => this.#accept(client));
    this.#server = server;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  #accept(client: Socket): void {
    client.on('error', () => undefined);
    if (this.#mode === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...this.#target, noDelay: true });
    client.setNoDelay(true);
    const wire = new Wire<S>(client, server, this.#open());
    this.#wires.add(wire);
    const end = () => {
      if (!this.#wires.delete(wire)) return;
      for (const lane of Object.values(wire.lanes)) lane.close();
      client.destroy();
      server.destroy();
    };
    server.on('error', end);
    client.on('close', end);
    server.on('close', end);
    client.on('data', (bytes) => this.#receive(wire, 'to-server', bytes));
    server.on('data', (bytes) => this.#receive(wire, 'to-client', bytes));
    if (this.#mode === 'silent') wire.hold();
  }

  #receive(wire: Wire<S>, direction: Direction, bytes: Buffer): void {
    const lane = wire.lanes[direction];
    for (const frame of wire.session.split(direction, bytes)) {
      for (const watch of this.#watchers) watch(frame, direction, wire);
      const action = this.#rule?.(frame, direction, wire) ?? 'pass';
      switch (action) {
        case 'pass':
          break;
        case 'hold':
          wire.hold(direction);
          break;
        case 'hold-both':
          wire.hold();
          break;
        case 'last':
          lane.send(frame.bytes, 0);
          wire.hold();
          continue;
        case 'half':
          lane.send(frame.bytes.subarray(0, Math.ceil(frame.bytes.length / 2)), 0);
          // The half has to leave this process before the reset throws it away.
          setImmediate(() => wire.cut());
          wire.hold();
          return;
        case 'cut':
          wire.cut();
          return;
        default:
          action satisfies never;
      }
      lane.send(frame.bytes, this.#delayMs);
    }
  }
}
