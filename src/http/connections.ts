import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Connections at once. */
const MOST = 256;
/** How long a client that the server only waits for may be silent. */
const SILENCE_MS = 30_000;
/** When the server stops. */
const STOP_SILENCE_MS = 5_000;

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Connection {
  readonly exchanges: Set<Exchange>;
  /** Bytes of requests that are over: what came beyond them is the beginning of another. */
  bytesDone: number;
}

/**
 * The connections of a server. What node does with them is not enough. It waits for ever for a client that does not read
 * its answer, which then holds one of a bounded number of connections. When the server stops it takes an answer for sent
 * when it is written, and closes the connection under what the client has yet to read; and it waits for ever for clients
 * that have connected and ask for nothing (browsers do so ahead of need), or send half a request.
 *
 * Nor is node's `maxConnections`: it closes whoever comes when all places are taken. A few hundred clients that send no
 * whole request would shut everybody else out for as long as the limits of a request allow. Here such a client makes room.
 */
export class Connections {
  /** Who waits for longest to be asked again comes first. */
  readonly #open = new Map<Socket, Connection>();

  constructor(server: Server) {
    server.on('connection', (socket) => {
      if (this.#open.size >= MOST && !this.#makeRoom()) socket.destroy();
      else this.#of(socket);
    });
    server.on('request', (request, response) => {
      const { socket } = request;
      const connection = this.#of(socket);
      const exchange = { request, response };
      connection.exchanges.add(exchange);
      // Its last byte is with the operating system, or the client is gone.
      response.once('close', () => {
        connection.exchanges.delete(exchange);
        connection.bytesDone = socket.bytesRead;
        this.#moveToEnd(socket, connection);
      });
    });
    // Node measures it from the last byte that was sent or came, of those that it keeps for another request as well.
    server.setTimeout(SILENCE_MS, (socket) => {
      if ([...this.#of(socket).exchanges].every(isUpToTheClient)) socket.destroy();
    });
    // Node and Fastify call it when they close the server.
    server.closeIdleConnections = () => this.closeIdle();
  }

  /** Closes those on which nothing is asked; gives up, after a while, those on which there is only the client to wait for. */
  closeIdle(): void {
    for (const [socket, { exchanges, bytesDone }] of this.#open) {
      if (exchanges.size === 0 && socket.bytesRead === bytesDone) socket.destroy();
      else if ([...exchanges].every(isUpToTheClient)) giveUpWhenSilent(socket);
    }
  }

  /** Closes the connection that has kept the server waiting for longest. @returns false when none does */
  #makeRoom(): boolean {
    const open = [...this.#open];
    const [socket] =
      open.find(([, { exchanges }]) => [...exchanges].every(({ request }) => !request.complete)) ??
      open.find(([, { exchanges }]) => [...exchanges].every(isUpToTheClient)) ??
      [];
    if (!socket) return false;
    this.#open.delete(socket);
    socket.destroy();
    return true;
  }

  #moveToEnd(socket: Socket, connection: Connection): void {
    if (this.#open.delete(socket)) this.#open.set(socket, connection);
  }

  #of(socket: Socket): Connection {
    const known = this.#open.get(socket);
    if (known) return known;
    const made = { exchanges: new Set<Exchange>(), bytesDone: 0 };
    this.#open.set(socket, made);
    socket.once('close', () => this.#open.delete(socket));
    return made;
  }
}

const isUpToTheClient = ({ request, response }: Exchange): boolean =>
  !request.complete || response.writableEnded || response.writableNeedDrain;

function giveUpWhenSilent(socket: Socket): void {
  if (socket.timeout === STOP_SILENCE_MS) return;
  socket.setTimeout(STOP_SILENCE_MS, () => socket.destroy());
}
