import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { bin, CliProject, CONSUMER, type Running } from '../support/cli-project.ts';
import { isAlive } from '../support/processes.ts';

const PUBLISH = `
import { close, publishAggregateEvent } from 'svc-comm';

for (const id of process.argv.slice(2).map(Number)) {
  const event = { aggregate: 'EXCHANGE', eventType: 'create.base', payload: { id } };
  await publishAggregateEvent(event, { transaction: 'own' });
}
await close();
`;

const TASKS = `
import { arg, task } from 'svc-comm/task';

export const addition = task({ name: 'addition', args: { x: arg.integer(), y: arg.integer() } }, ({ x, y }) => x + y);
`;

const project = new CliProject({ 'src/consumers.ts': CONSUMER, 'publish.mjs': PUBLISH });
afterAll(() => project.remove());

/** Set nowhere: `dev` runs on the embedded ones then. */
const NOT_SET = { SVC_COMM_BROKER_URL: undefined, SVC_COMM_DATABASE_URL: undefined, SVC_COMM_SCHEMA: undefined };
const EMBEDDED = { ...NOT_SET, SVC_COMM_BROKER_URL: 'embedded:', SVC_COMM_DATABASE_URL: 'embedded:' };

async function publish(...ids: number[]) {
  const { code, stderr } = await project.run(['publish.mjs', ...ids.map(String)], EMBEDDED);
  expect(code, stderr).toBe(0);
}
const pidOf = (line: string): number => JSON.parse(line).pid;

describe('svc-comm dev', () => {
  it('handles what was published before its first start: the queue is there before the publisher begins', async () => {
    const fresh = new CliProject({ 'src/consumers.ts': CONSUMER, 'publish.mjs': PUBLISH });
    try {
      const { code, stderr } = await fresh.run(['publish.mjs', '1', '2'], EMBEDDED);
      expect(code, stderr).toBe(0);
      const dev = fresh.start([bin, 'dev', '--json'], NOT_SET);
      await dev.line('running: publishing from the outbox; consuming from queue');
      await dev.line('handled 1');
      await dev.line('handled 2');
      expect(await dev.stop('SIGTERM')).toBe(0);
    } finally {
      await fresh.remove();
    }
  });

  it('runs publisher and consumer in one process, serves what is embedded, and starts anew on a change without losing any', async () => {
    const dev = project.start([bin, 'dev', '--json'], NOT_SET);
    const first = pidOf(await dev.line('running: publishing from the outbox; consuming from queue'));
    await publish(1, 2);
    await dev.line('handled 2');
    const roles = dev.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line).role);
    expect(new Set(roles)).toEqual(new Set(['dev', 'publisher', 'consumer']));
    const served = dev.lines.filter((line) => line.includes('serving the embedded'));
    expect(served.map((line) => JSON.parse(line).role)).toEqual(['dev', 'dev']);

    const from = dev.lines.length;
    project.write('src/consumers.ts', CONSUMER.replace("'handled'", "'seen'"));
    // Published while it restarts: the servers are the parent's.
    await publish(3);
    const second = pidOf(await dev.line('running: publishing', from));
    await publish(4);
    await dev.line('seen 4', from);
    await vi.waitFor(() => expect(dev.lines.join('\n')).toMatch(/(handled|seen) 3/), { timeout: 60_000 });
    expect(second).not.toBe(first);
    // No restart has served anything anew.
    expect(dev.lines.filter((line) => line.includes('serving the embedded'))).toHaveLength(2);
    expect(await dev.stop('SIGINT')).toBe(0);
    expect([first, second].filter(isAlive)).toEqual([]);
  });

  it('runs the publisher alone, and says so, in a project that has no consumers yet', async () => {
    project.write('src/consumers.ts', '');
    const dev: Running = project.start([bin, 'dev', '--json'], NOT_SET);
    await dev.line('nothing is consumed');
    await dev.line('running: publishing from the outbox');
    expect(await dev.stop('SIGTERM')).toBe(0);
  });
});

describe('svc-comm dev in a project with tasks', () => {
  it('takes and serves them as well, from a file that is added while it runs; where its port is taken, on another', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const dev = project.start([bin, 'dev', '--json'], { ...NOT_SET, SVC_COMM_HTTP: JSON.stringify({ port }) });
    await dev.line('running: publishing from the outbox');
    expect(dev.lines.join('\n')).not.toContain('listening on http');
    const from = dev.lines.length;
    project.write('src/tasks.js', TASKS);
    await dev.line('taking tasks: addition', from);
    const ran = await project.run(
      [bin, 'task', 'run', 'addition', '--arg', 'x=20', '--arg', 'y=22', '--json'],
      EMBEDDED,
    );
    expect(ran.code, ran.stderr).toBe(0);
    expect(ran.stdout).toContain('42');
    await dev.line(`"port":${port}`, from);
    const { url } = JSON.parse(await dev.line('listening on http', from));
    const answer = await fetch(`${url}/addition/keep-connection`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"x":3,"y":6}',
    });
    expect([answer.status, await answer.json()]).toEqual([200, 9]);
    expect(await dev.stop('SIGINT')).toBe(0);
    taken.close();
  });
});

describe('devconsumer and devpublisher on embedded:', () => {
  it('share the servers of whichever parent came first; no restart touches them', async () => {
    project.write('src/consumers.ts', CONSUMER);
    const consumer = project.start([bin, 'devconsumer', '--json'], EMBEDDED);
    await consumer.line('consuming from queue');
    const publisher = project.start([bin, 'devpublisher', '--json'], EMBEDDED);
    await publisher.line('publishing from the outbox');
    const from = consumer.lines.length;
    project.write('src/consumers.ts', `${CONSUMER}// changed\n`);
    await consumer.line('consuming from queue', from);
    await publish(5);
    await consumer.line('handled 5', from);
    for (const parent of [consumer, publisher]) {
      const hosts = parent.lines.filter((line) => /serving|took over/.test(line)).map((line) => JSON.parse(line).role);
      expect(new Set(hosts).size).toBeLessThanOrEqual(1);
      if (hosts.length > 0) expect(hosts[0]).toBe('dev');
    }
    expect(await Promise.all([consumer.stop('SIGINT'), publisher.stop('SIGINT')])).toEqual([0, 0]);
  });
});
