import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { HttpServer } from '../../src/http/server.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { sleep } from '../../src/util/sleep.ts';

/** Longer than a client may be silent. */
const LATE_MS = 33_000;
const BIG = 20_000_000;

const opened: Socket[] = [];
let server: HttpServer | undefined;
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await server?.stop();
});

it('a server gives up a client that does not read, and waits with one that waits for its answer', async () => {
  const closed: string[] = [];
  server = new HttpServer({
    port: 0,
    logger: silentLogger,
    register: (app) => {
      app.addHook('onRequest', async ({ url, socket }) => void socket.once('close', () => closed.push(url)));
      app.get('/big', (_request, reply) => reply.send(Buffer.alloc(BIG)));
      app.get('/flow', async (_request, reply) => {
        reply.hijack();
        const more = () => {
          while (reply.raw.write('x'.repeat(100_000)));
          reply.raw.once('drain', more);
        };
        more();
      });
      app.get('/late', async () => sleep(LATE_MS).then(() => 'late'));
    },
  });
  await server.start();
  const url = server.url ?? '';
  const ask = async (path: string) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    opened.push(socket);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return socket;
  };
  const late = fetch(`${url}/late`);
  for (const path of ['/big', '/big?2', '/flow']) await once(await ask(path), 'readable');
  expect(await (await late).text()).toBe('late');
  await expect.poll(() => closed, { timeout: 30_000 }).toEqual(expect.arrayContaining(['/big', '/big?2', '/flow']));
});
