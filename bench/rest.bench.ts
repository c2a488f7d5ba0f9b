import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import axios from 'axios';
import { Pool } from 'undici';
import { compiled } from './compiled.ts';
import { interleave, judge, type Row, type Side, timed } from './harness.ts';

export const head = `
All: the same node:http server in a process of its own, 50 requests at once, keep-alive, 1 KiB of JSON in the answer,
parsed; POST sends 1 KiB of JSON from an object. undici: Pool.request with 50 connections and body.json(). axios: its
defaults, with a keep-alive agent of 50 sockets beside. Ours: createRestClient with its defaults (deadline, breaker,
retries, limits, header and path checks), once without and once with a bearer token.
Cheating would be: bodies as text, no deadline, no limits, another number of connections.`;

const COUNT = Number(process.env.SVC_COMM_BENCH_REST_REQUESTS ?? 4000);
const AT_ONCE = 50;
const PAYLOAD = {
  items: Array.from({ length: 12 }, (_, id) => ({ id, name: `subject ${id}`, order: id * 7, tags: ['a', 'b'] })),
  note: 'x'.repeat(300),
};

export async function run(rounds: number): Promise<Row[]> {
  const { createRestClient } = await compiled('rest-api-door');
  const server = fork(new URL('./rest-server.ts', import.meta.url), { execArgv: ['--import', 'tsx'] });
  const [port] = (await once(server, 'message')) as [number];
  const host = `http://127.0.0.1:${port}`;
  const pool = new Pool(host, { connections: AT_ONCE });
  const kept = axios.create({ baseURL: host, httpAgent: new Agent({ keepAlive: true, maxSockets: AT_ONCE }) });
  const plain = axios.create({ baseURL: host });
  const ours = createRestClient({ host });
  const withToken = createRestClient({ host, authUrl: 'login', username: 'u', password: 'p' });
  const json = { 'content-type': 'application/json' };
  try {
    const get = await interleave(
      [
        side('undici Pool.request GET', async () => (await pool.request({ method: 'GET', path: '/x' })).body.json()),
        side('axios GET', async () => (await plain.get('/x')).data),
        side('axios, keep-alive agent GET', async () => (await kept.get('/x')).data),
        side('ours GET', () => ours.get('x')),
        side('ours, token GET', () => withToken.get('x')),
      ],
      rounds,
    );
    const post = await interleave(
      [
        side('undici Pool.request POST', async () => {
          const body = JSON.stringify(PAYLOAD);
          return (await pool.request({ method: 'POST', path: '/x', headers: json, body })).body.json();
        }),
        side('axios POST', async () => (await plain.post('/x', PAYLOAD)).data),
        side('axios, keep-alive agent POST', async () => (await kept.post('/x', PAYLOAD)).data),
        side('ours POST', () => ours.post('x', { json: PAYLOAD })),
        side('ours, token POST', () => withToken.post('x', { json: PAYLOAD })),
      ],
      rounds,
    );
    const bench = 'REST client, 50 at once';
    return [get, post].flatMap((figures, i) => {
      const method = i === 0 ? 'GET' : 'POST';
      return [
        ...judge(figures, { bench, ours: `ours ${method}`, beside: `undici Pool.request ${method}`, throughput: 0.8 }),
        ...judge(figures, { bench, ours: `ours ${method}`, beside: `axios ${method}`, throughput: 2.5 }),
        ...judge(figures, {
          bench,
          ours: `ours ${method}`,
          beside: `axios, keep-alive agent ${method}`,
          throughput: 0,
        }),
        ...judge(figures, {
          bench,
          ours: `ours, token ${method}`,
          beside: `undici Pool.request ${method}`,
          throughput: 0,
        }),
      ];
    });
  } finally {
    await Promise.all([pool.close(), ours.close(), withToken.close()]);
    stop(server);
  }
}

const side = (name: string, request: () => Promise<unknown>): Side => ({
  name,
  run: () =>
    timed(COUNT, async () => {
      let started = 0;
      const worker = async (): Promise<void> => {
        while (started < COUNT) {
          started += 1;
          await request();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
    }),
});

function stop(server: ChildProcess): void {
  server.disconnect();
}
