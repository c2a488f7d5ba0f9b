import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';

export interface Seen {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export type Answerer = (request: Seen, response: ServerResponse, incoming: IncomingMessage) => unknown;

/** A real HTTP server that answers as a test says, and remembers what it was asked. */
export class HttpKit {
  readonly seen: Seen[] = [];
  readonly url: string;
  readonly #server: Server;
  /** How it answers; a test may replace it. */
  answer: Answerer;

  private constructor(server: Server, answer: Answerer) {
    const { port } = server.address() as AddressInfo;
    this.url = `http://127.0.0.1:${port}`;
    this.#server = server;
    this.answer = answer;
  }

  static async open(answer: Answerer = (_, response) => json(response, { ok: true })): Promise<HttpKit> {
    const server = createServer((incoming, response) => {
      void (async () => {
        const chunks: Buffer[] = [];
        try {
          for await (const chunk of incoming) chunks.push(chunk as Buffer);
        } catch {
          return; // the client went away
        }
        const { method = '', url = '', headers } = incoming;
        const request = { method, url, headers, body: Buffer.concat(chunks).toString() };
        kit.seen.push(request);
        await kit.answer(request, response, incoming);
      })();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const kit = new HttpKit(server, answer);
    return kit;
  }

  /** Requests to a path, without their query. */
  asked(path: string): Seen[] {
    return this.seen.filter(({ url }) => url.split('?')[0] === path);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A server below HTTP: for answers that no HTTP server would give. */
export class TcpKit {
  readonly url: string;
  connections = 0;
  readonly #server: TcpServer;
  readonly #sockets = new Set<Socket>();

  private constructor(server: TcpServer) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
  }

  /** @param onRequest called with each chunk that a client sends */
  static async open(onRequest: (socket: Socket, text: string) => void): Promise<TcpKit> {
    const server = createTcpServer((socket) => {
      kit.connections += 1;
      kit.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => onRequest(socket, data.toString()));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const kit = new TcpKit(server);
    return kit;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

/** A URL at which nothing listens. */
export async function deadUrl(): Promise<string> {
  const server = createTcpServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
