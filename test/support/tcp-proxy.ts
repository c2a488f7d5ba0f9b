import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
}

/**
 * A TCP proxy that can fail as networks do, so that no server has to be restarted: cut every connection, refuse new
 * ones, fall silent with all connections open, hold back one direction, put bytes into a stream.
 */
export class TcpProxy {
  /**
   * Made for each connection: what it returns goes to the client instead of what the server sent; `cut` resets this
   * connection. @default nothing changed
   */
  filterToClient: (cut: () => void) => (bytes: Buffer) => Buffer = () => (bytes) => bytes;
  /** The same for what the client sends. */
  filterToServer: (cut: () => void) => (bytes: Buffer) => Buffer = () => (bytes) => bytes;
  /** The server does not hear that a client has gone, as through a dead network. */
  keepsUpstream = false;
  readonly #kept = new Set<Socket>();
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  #server: Server | undefined;
  #mode: 'forward' | 'refuse' | 'silent' = 'forward';
  #port = 0;
  #heldToClient: (() => void)[] | undefined;
  /** Connections accepted since the start. */
  accepted = 0;

  private constructor(host: string, port: number) {
    this.#target = { host, port };
  }

  static async to(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy(hostname, Number(port) || 5672);
    await proxy.listen();
    return proxy;
  }

  /** The same URL, by way of the proxy. */
  url(target: string): string {
    const url = new URL(target);
    url.hostname = '127.0.0.1';
    url.port = String(this.#port);
    return url.href;
  }

  /** Pieces that are kept from clients at the moment. */
  get held(): number {
    return this.#heldToClient?.length ?? 0;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets every connection; new ones are let through. */
  cut(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  }

  /** Resets new connections as soon as they come. */
  refuse(): void {
    this.#mode = 'refuse';
  }

  /** As a server that is down: nobody listens at its port. `listen` puts it back. */
  async goDown(): Promise<void> {
    await this.close();
    this.#server = undefined;
  }

  /** Half-open: nothing passes in either direction, nothing is closed; new connections are accepted and say nothing. */
  fallSilent(): void {
    this.#mode = 'silent';
    for (const { client, upstream } of this.#pairs) {
      client.pause();
      upstream.pause();
    }
  }

  /** What the server sends is kept until `heal`. */
  holdToClient(): void {
    this.#heldToClient = [];
  }

  /** Everything passes again. */
  heal(): void {
    this.#mode = 'forward';
    const held = this.#heldToClient ?? [];
    this.#heldToClient = undefined;
    for (const send of held) send();
    for (const { client, upstream } of this.#pairs) {
      client.resume();
      upstream.resume();
    }
  }

  /** Says something in the server's name. The stream must be idle, so that it falls between two frames. */
  injectToClient(bytes: Buffer): void {
    for (const { client } of this.#pairs) client.write(bytes);
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.cut();
    for (const upstream of this.#kept) upstream.destroy();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  async listen(): Promise<void> {
    const server = createServer((client) => this.#accept(client));
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    client.on('error', () => undefined);
    if (this.#mode === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect({ ...this.#target, noDelay: true });
    client.setNoDelay(true);
    const pair = { client, upstream };
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      if (this.keepsUpstream) this.#kept.add(upstream);
      else upstream.destroy();
    };
    upstream.on('error', end);
    client.on('close', end);
    upstream.on('close', end);
    const cut = () => void client.resetAndDestroy();
    const toClient = this.filterToClient(cut);
    const toServer = this.filterToServer(cut);
    client.on('data', (bytes) => {
      const passed = toServer(bytes);
      if (passed.length > 0) upstream.write(passed);
    });
    upstream.on('data', (bytes) => {
      const passed = toClient(bytes);
      if (this.#heldToClient) this.#heldToClient.push(() => client.write(passed));
      else client.write(passed);
    });
    if (this.#mode === 'silent') {
      client.pause();
      upstream.pause();
    }
  }
}

/** A `connection.blocked` or `connection.unblocked` frame, as the broker sends it on channel 0. */
export function blockedFrame(reason: string | undefined): Buffer {
  const text = Buffer.from(reason ?? '');
  const method = Buffer.from([0, 10, 0, reason === undefined ? 61 : 60]);
  const payload = reason === undefined ? method : Buffer.concat([method, Buffer.from([text.length]), text]);
  const head = Buffer.alloc(7);
  head.writeUInt8(1, 0);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.from([0xce])]);
}
