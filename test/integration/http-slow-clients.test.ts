import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { health } from '../../src/http/health.ts';
import { startServer } from '../support/fastify-kit.ts';

it('a health check is answered within 100 ms while 200 connections send nothing', async () => {
  const server = await startServer((app) => void app.register(health), { guard: {} });
  onTestFinished(() => server.stop());
  const { port, hostname } = new URL(server.url);
  const slow = Array.from({ length: 200 }, () => {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.write('GET /look HTTP/1.1\r\nHost: localhost\r\nX-Slow: ');
    return socket;
  });
  const times: number[] = [];
  for (let n = 0; n < 100; n += 1) {
    const began = performance.now();
    expect((await server.request('/health')).status).toBe(200);
    times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  expect(times[98]).toBeLessThan(100);
  for (const socket of slow) socket.destroy();
});
