import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { deferred } from '../../src/util/deferred.ts';

export type Direction = 'to-server' | 'to-client';

/** What a gate looks at: bytes as Latin-1, so that each is a sign. */
export interface Passing {
  readonly direction: Direction;
  readonly text: string;
  /** What this connection has sent to the server up to now, its last part. */
  readonly sent: string;
}

const SENT_KEPT = 64 * 1024;

/**
 * A TCP proxy with a gate: when what it waits for comes by, it holds that and all that follows on that connection, both
 * ways. The process behind it stands still at a known step then, and can be killed there.
 */
export class GateProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #gate: { readonly matches: (passing: Passing) => boolean; readonly lets: boolean; reached(): void } | undefined;

  private constructor(url: string, server: Server, defaultPort: number) {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port) || defaultPort };
    this.#server = server;
    server.on('connection', (socket) => this.#join(socket));
  }

  static async to(url: string, defaultPort: number): Promise<GateProxy> {
    const server = createServer();
    const proxy = new GateProxy(url, server, defaultPort);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  /** The same URL, by way of the proxy. */
  url(target: string): string {
    const url = new URL(target);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  /** @param lets whether what the gate waits for goes through before it closes. @returns resolves when it is reached */
  arm(matches: (passing: Passing) => boolean, lets = false): Promise<void> {
    const { promise, resolve } = deferred();
    this.#gate = { matches, lets, reached: resolve };
    return promise;
  }

  /** Ends every connection; what was held is thrown away. The gate is open. */
  cut(): void {
    this.#gate = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    const upstream = connect(this.#target);
    let isHeld = false;
    let sent = '';
    const pump = (from: Socket, to: Socket, direction: Direction): void => {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!isHeld) to.end();
      });
      from.on('data', (chunk) => {
        if (isHeld) return;
        const text = chunk.toString('latin1');
        if (direction === 'to-server') sent = (sent + text).slice(-SENT_KEPT);
        const gate = this.#gate;
        if (gate?.matches({ direction, text, sent })) {
          isHeld = true;
          this.#gate = undefined;
          if (gate.lets) to.write(chunk);
          gate.reached();
        } else to.write(chunk);
      });
    };
    pump(client, upstream, 'to-server');
    pump(upstream, client, 'to-client');
  }
}
