import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Client } from 'pg';

const SSL_REQUEST = 80_877_103;
const READY = frame('Z', Buffer.from('I'));
/** AuthenticationOk, a process id and a key of its own, ReadyForQuery: as PgBouncer greets. */
const GREETING = Buffer.concat([frame('R', int32(0)), frame('K', Buffer.concat([int32(7), int32(7)])), READY]);

interface Guest {
  readonly socket: Socket;
  backend?: Socket;
  /** What waits for a backend. */
  waiting: Buffer[];
  /** Answers that end with ReadyForQuery and have not come. */
  pending: number;
}

/**
 * A pooler in transaction mode, as PgBouncer is without `max_prepared_statements`: few sessions for any number of
 * clients, and each transaction has the one that was free the longest. Notifications reach nobody.
 */
export class TransactionPooler {
  readonly #server: Server;
  readonly #free: Socket[];
  readonly #backends: readonly Socket[];
  readonly #queue: Guest[] = [];
  readonly #guests = new Set<Socket>();

  private constructor(server: Server, backends: readonly Socket[]) {
    this.#server = server;
    this.#backends = backends;
    this.#free = [...backends];
    server.on('connection', (socket) => this.#greet(socket));
  }

  static async to(url: string, sessions: number): Promise<TransactionPooler> {
    const backends = await Promise.all(Array.from({ length: sessions }, () => session(url)));
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TransactionPooler(server, backends);
  }

  /** The same database, by way of the pooler. */
  url(of: string): string {
    const url = new URL(of);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as AddressInfo).port);
    return url.href;
  }

  async close(): Promise<void> {
    for (const socket of [...this.#guests, ...this.#backends]) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #greet(socket: Socket): void {
    const guest: Guest = { socket, waiting: [], pending: 0 };
    let isGreeted = false;
    let rest: Buffer = Buffer.alloc(0);
    this.#guests.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#guests.delete(socket);
      guest.backend?.destroy();
    });
    socket.on('data', (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      while (!isGreeted && rest.length >= 8 && rest.length >= rest.readInt32BE(0)) {
        const isTls = rest.readInt32BE(4) === SSL_REQUEST;
        rest = rest.subarray(rest.readInt32BE(0));
        isGreeted = !isTls;
        socket.write(isTls ? 'N' : GREETING);
      }
      if (!isGreeted) return;
      const { frames, left } = split(rest);
      rest = left;
      for (const one of frames) this.#fromGuest(guest, one);
    });
  }

  #fromGuest(guest: Guest, bytes: Buffer): void {
    const type = String.fromCharCode(bytes[0] ?? 0);
    if (type === 'X') {
      guest.socket.end();
      return;
    }
    if (type === 'Q' || type === 'S') guest.pending += 1;
    if (guest.backend) {
      guest.backend.write(bytes);
      return;
    }
    if (guest.waiting.push(bytes) === 1) this.#queue.push(guest);
    this.#lend();
  }

  #lend(): void {
    while (this.#queue.length > 0 && this.#free.length > 0) {
      const guest = this.#queue.shift() as Guest;
      const backend = this.#free.shift() as Socket;
      guest.backend = backend;
      let rest: Buffer = Buffer.alloc(0);
      backend.on('data', (bytes: Buffer) => {
        const { frames, left } = split(Buffer.concat([rest, bytes]));
        rest = left;
        for (const one of frames) this.#fromBackend(guest, backend, one);
      });
      for (const bytes of guest.waiting.splice(0)) backend.write(bytes);
    }
  }

  #fromBackend(guest: Guest, backend: Socket, bytes: Buffer): void {
    const type = String.fromCharCode(bytes[0] ?? 0);
    if (type !== 'A') guest.socket.write(bytes);
    if (type !== 'Z') return;
    guest.pending -= 1;
    if (guest.pending > 0 || !bytes.equals(READY)) return;
    backend.removeAllListeners('data');
    delete guest.backend;
    this.#free.push(backend);
    this.#lend();
  }
}

/** A session of PostgreSQL, logged in, its socket alone. */
async function session(url: string): Promise<Socket> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
  stream.removeAllListeners('data');
  return stream;
}

function split(bytes: Buffer): { readonly frames: readonly Buffer[]; readonly left: Buffer } {
  const frames: Buffer[] = [];
  let at = 0;
  while (bytes.length - at >= 5) {
    const end = at + 1 + bytes.readInt32BE(at + 1);
    if (end > bytes.length) break;
    frames.push(bytes.subarray(at, end));
    at = end;
  }
  return { frames, left: bytes.subarray(at) };
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function frame(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}
