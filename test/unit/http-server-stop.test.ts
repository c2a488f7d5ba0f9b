import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpServer } from '../../src/http/server.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';

const BIG = 20_000_000;

const opened: Socket[] = [];
afterEach(() => {
  for (const socket of opened.splice(0)) socket.destroy();
});

async function startServer(): Promise<HttpServer> {
  const server = new HttpServer({
    port: 0,
    logger: silentLogger,
    register: (app) => {
      app.get('/big', (_request, reply) => reply.send(Buffer.alloc(BIG)));
      app.post('/x', (_request, reply) => reply.send({}));
    },
  });
  await server.start();
  return server;
}

/** A client that has sent this, and reads nothing. */
async function client({ url = '' }: HttpServer, sent: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  opened.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  if (sent !== '') await new Promise((resolve) => socket.write(sent, resolve));
  return socket;
}

/** Resolves when the server has begun to answer. */
const answered = (socket: Socket): Promise<unknown> => once(socket, 'readable');

describe('a server that stops', () => {
  it('sends its last answer to the end, also to a client that is slow to read it', async () => {
    const server = await startServer();
    const socket = await client(server, 'GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await answered(socket);
    const idle = once(await client(server, ''), 'close');
    const stopped = server.stop();
    // It has looked for idle connections.
    await idle;
    let bytes = 0;
    for await (const chunk of socket) bytes += (chunk as Buffer).length;
    expect(bytes).toBeGreaterThan(BIG);
    await stopped;
  });

  it('does not wait for clients that ask for nothing', { timeout: 4_000 }, async () => {
    const server = await startServer();
    await client(server, '');
    const kept = await client(server, 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await answered(kept);
    await server.stop();
    expect(server.url).toBeUndefined();
  });

  it.each([
    ['send half of the headers', 'POST /x HTTP/1.1\r\nHost: loc'],
    [
      'send half a request',
      'POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Type: a/json\r\nContent-Length: 9\r\n\r\n{',
    ],
    ['do not read their answer', 'GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('gives clients up that %s', { timeout: 20_000 }, async (_, sent) => {
    const server = await startServer();
    const socket = await client(server, sent);
    if (sent.startsWith('GET')) await answered(socket);
    else await client(server, 'GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n').then(answered);
    await server.stop();
    expect(server.url).toBeUndefined();
  });
});
