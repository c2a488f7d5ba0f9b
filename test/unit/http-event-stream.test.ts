import { once } from 'node:events';
import { connect } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { streamEvents } from '../../src/http/async-resource/event-stream.ts';
import { clientGone } from '../../src/http/client-gone.ts';
import type { TaskEvent } from '../../src/task/state.ts';
import { startServer } from '../support/fastify-kit.ts';

it('a stream of events waits for a client that does not read, ends when it is gone, and keeps nothing for it', async () => {
  const pulled = { count: 0, isEnded: false };
  const note = 'x'.repeat(10_000);
  async function* events(): AsyncGenerator<TaskEvent> {
    try {
      for (;;) {
        pulled.count += 1;
        yield { kind: 'progress', fraction: 0.5, note };
        await turn();
      }
    } finally {
      pulled.isEnded = true;
    }
  }
  let waiting = 0;
  const server = await startServer((app) => {
    app.get('/events', async (_request, reply) => {
      const { raw } = reply;
      const looking = setInterval(() => {
        waiting = Math.max(waiting, raw.writableLength);
      }, 1);
      await streamEvents(reply, { events: events(), dataOf: (event) => event, until: clientGone(reply) });
      clearInterval(looking);
      return reply;
    });
  });
  const { port, hostname } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  socket.pause();
  // What the kernel takes in is full when the count stands still over many turns.
  for (let before = -1; before !== pulled.count; ) {
    before = pulled.count;
    for (let n = 0; n < 2000; n += 1) await turn();
  }
  expect(pulled.count).toBeGreaterThan(0);
  // The high-water mark and the event that went over it.
  expect(waiting).toBeLessThan(1024 * 1024);
  socket.destroy();
  await once(socket, 'close');
  await expect.poll(() => pulled.isEnded).toBe(true);
  await server.stop();
});
