import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpServer } from '../../src/http/server.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { deferred } from '../../src/util/deferred.ts';

/** All that a server takes at once. */
const MOST = 256;

const opened: Socket[] = [];
let server: HttpServer | undefined;
let answer = deferred<string>();
let asked = 0;
afterEach(async () => {
  answer.resolve('waited for');
  for (const socket of opened.splice(0)) socket.destroy();
  await server?.stop();
});

async function start(): Promise<string> {
  answer = deferred<string>();
  asked = 0;
  server = new HttpServer({
    port: 0,
    logger: silentLogger,
    register: (app) => {
      app.get('/now', () => ({}));
      app.get('/later', () => {
        asked += 1;
        return answer.promise;
      });
      app.post('/body', () => ({}));
    },
  });
  await server.start();
  return server.url ?? '';
}

/** Clients that send this and no more. */
async function clients(url: string, count: number, sent: string): Promise<Socket[]> {
  const made = Array.from({ length: count }, () => connect(Number(new URL(url).port), '127.0.0.1'));
  opened.push(...made);
  for (const socket of made) socket.on('error', () => undefined);
  await Promise.all(made.map((socket) => once(socket, 'connect')));
  if (sent !== '') await Promise.all(made.map((socket) => new Promise((resolve) => socket.write(sent, resolve))));
  return made;
}

const HEAD = 'Host: localhost\r\nContent-Type: application/json\r\n';

describe('a server that has as many connections as it takes answers one more', () => {
  it.each([
    ['say nothing', ''],
    ['send half a header', 'GET /now HTTP/1.1\r\nHost: local'],
    ['send half a body', `POST /body HTTP/1.1\r\n${HEAD}Content-Length: 50\r\n\r\n{`],
  ])('in the place of one of those that %s', async (_what, sent) => {
    const url = await start();
    const [oldest, ...others] = await clients(url, MOST, sent);
    const closed = oldest && once(oldest, 'close');
    expect((await fetch(`${url}/now`)).status).toBe(200);
    await closed;
    expect(others.filter((socket) => socket.closed)).toEqual([]);
  });

  it('and gives up none that waits for its own answer', async () => {
    const url = await start();
    const waiting = fetch(`${url}/later`);
    await clients(url, MOST + 10, '');
    expect((await fetch(`${url}/now`)).status).toBe(200);
    answer.resolve('waited for');
    expect(await (await waiting).text()).toBe('waited for');
  });
});

it('a server whose connections all wait for their answers closes one more as it comes', async () => {
  const url = await start();
  const waiting = await clients(url, MOST, 'GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await expect.poll(() => asked).toBe(MOST);
  await expect(fetch(`${url}/now`)).rejects.toThrow();
  answer.resolve('waited for');
  await Promise.all(waiting.map((socket) => once(socket, 'readable')));
});

it('a server on localhost listens on one address, for which its limits hold', async () => {
  server = new HttpServer({ host: 'localhost', port: 0, logger: silentLogger, register: () => undefined });
  await server.start();
  const { hostname, port } = new URL(server.url ?? '');
  expect(hostname).toBe('127.0.0.1');
  await expect(fetch(`http://[::1]:${port}/`)).rejects.toThrow();
});
