import { connect } from 'amqplib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bin, CliProject } from '../support/cli-project.ts';
import { json, request } from '../support/fastify-kit.ts';
import { testBrokerUrl } from '../support/servers.ts';

const FILES = {
  'processes/hello.yml': `
id: hello
meta: { name: Hello, description: Says it, fields: [{ name: foo, description: whom }] }
tasksSync: [say.hello]
tasksAsync: [say.later]
---
id: waiting
tasksAsync: [[wait, { args: { for: 1ms }, delay: 1h }], say.early]
`,
  'tasks/custom/say.js': `
import { processTask } from 'svc-comm/process';
export const hello = ({ body }) => {
  if (body.foo === 'fail') throw new Error('no hello today');
  return 'hello ' + body.foo;
};
export const early = ({ body }) => {
  if (body.foo === 'fail') throw new Error('too early');
};
export const later = processTask({ env: ['LATER_TOKEN'] }, ({ body }) => 'later ' + body.foo);
`,
  'src/tasks.js': `
import { arg, task } from 'svc-comm/task';
export const double = task({ name: 'double', args: { x: arg.integer() } }, ({ x }) => 2 * x);
`,
};
const project = new CliProject(FILES);
const ENV = { SVC_COMM_WORKER_CONCURRENCY: '2', SVC_COMM_WORKER_SPARE: '1' };
let base: string;

interface Instance {
  readonly id: string;
  readonly state: string;
  readonly tasks: readonly { readonly result?: unknown }[];
}

beforeAll(async () => {
  expect(await project.cli('migrate')).toMatchObject({ code: 0 });
  const server = project.start([bin, 'serve', '--port', '0'], ENV);
  base = /http:\/\/127\.0\.0\.1:\d+/.exec(await server.line('listening on'))?.[0] ?? '';
  const [worker, publisher] = [project.start([bin, 'runworker'], ENV), project.start([bin, 'runpublisher'], ENV)];
  await Promise.all([worker.line('hello.say.later'), publisher.line('publishing from the outbox')]);
});
afterAll(async () => {
  const broker = await connect(testBrokerUrl());
  await (await broker.createChannel()).deleteQueue(`${project.queue}.tasks`);
  await broker.close();
  await project.remove();
});

const cli = async (...args: string[]) => {
  const { code, stdout, stderr } = await project.run([bin, ...args], ENV);
  return { code, stderr, text: stdout, json: args.includes('--json') ? JSON.parse(stdout) : undefined };
};

it('process ls and show tell of processes, for people and as JSON', async () => {
  expect((await cli('process', 'ls')).text).toMatch(/^id +name +what it does\nhello +Hello +Says it\nwaiting/);
  expect((await cli('process', 'ls', '--json')).json.processes).toMatchObject([{ id: 'hello' }, { id: 'waiting' }]);
  const { text } = await cli('process', 'show', 'hello');
  expect(text).toMatch(/field +foo char, required +whom/);
  expect(text).toMatch(/async +say.later +env LATER_TOKEN/);
  const wrong = await cli('process', 'show', 'hallo', '--json');
  expect([wrong.code, wrong.json.error.code]).toEqual([2, 'SVC_COMM_UNKNOWN_PROCESS']);
});

it('process run creates an instance and waits for its end; ls, show and cancel look at it and end it', async () => {
  const ran = await cli('process', 'run', 'hello', '-d', '{"foo":"you"}', '--json');
  expect(ran).toMatchObject({ code: 0, json: { state: 'Complete', process: 'hello' } });
  const { id, tasks } = ran.json as Instance;
  expect(tasks.map(({ result }) => result)).toEqual(['hello you', 'later you']);
  expect((await cli('process', 'show', id)).text).toMatch(
    /state +Complete\n[\s\S]*async +say.later SUCCESS "later you"/,
  );
  expect((await cli('process', 'ls', 'hello', '--json')).json.instances).toMatchObject([{ id, state: 'Complete' }]);
  expect(await cli('process', 'run', 'hello', '-d', '{"foo":"fail"}')).toMatchObject({
    code: 1,
    text: expect.stringContaining('FAILURE Error: no hello today'),
  });
  const refused = await cli('process', 'run', 'hello', '--json');
  expect(refused).toMatchObject({ code: 2, json: { error: { code: 'SVC_COMM_INVALID_PROCESS_INPUT' } } });
  const waiting = (await cli('process', 'run', 'waiting', '--detach', '--json')).json as Instance;
  expect(waiting.state).toBe('Running');
  expect(await cli('process', 'cancel', waiting.id)).toMatchObject({
    code: 0,
    text: expect.stringContaining('Cancelled'),
  });
  const failing = (await cli('process', 'run', 'waiting', '-d', '{"foo":"fail"}', '--detach', '--json'))
    .json as Instance;
  const statuses = async () => (await cli('process', 'show', failing.id, '--json')).json.tasks[1].status;
  await expect.poll(statuses, { timeout: 30_000 }).toBe('FAILURE');
  // The first has something to end, the second has not.
  const text = expect.stringMatching(/state +Failed\n[\s\S]*wait REVOKED/);
  expect(await cli('process', 'cancel', failing.id)).toMatchObject({ code: 0, text });
  expect(await cli('process', 'cancel', failing.id)).toMatchObject({ code: 1, text });
});

it('what can be told without the database is told before it is asked', async () => {
  const isDown = { ...ENV, SVC_COMM_DATABASE_URL: 'postgres://postgres@127.0.0.1:1/none' };
  const refused = async (...args: string[]) => {
    const { code, stdout } = await project.run([bin, ...args, '--no-wait', '--json'], isDown);
    return [code, JSON.parse(stdout).error];
  };
  const unknown = { code: 'SVC_COMM_UNKNOWN_PROCESS', message: expect.stringContaining('hello') };
  expect(await refused('process', 'run', 'hallo', '-d', '{"foo":"you"}')).toMatchObject([2, unknown]);
  expect(await refused('process', 'ls', 'hallo')).toMatchObject([2, unknown]);
  expect(await refused('process', 'run', 'hello', '-d', '{')).toMatchObject([2, { code: 'SVC_COMM_USAGE' }]);
  expect(await refused('task', 'run', 'doubel')).toMatchObject([2, { code: 'SVC_COMM_UNKNOWN_TASK' }]);
  // A process's own tasks are started by it, and by nobody else.
  expect(await refused('task', 'run', 'hello.say.later')).toMatchObject([2, { code: 'SVC_COMM_UNKNOWN_TASK' }]);
  expect(await refused('task', 'run', 'double', '-a', 'x=1')).toMatchObject([
    1,
    { code: 'SVC_COMM_DATABASE_UNAVAILABLE' },
  ]);
});

it('serve has tasks and processes beside each other, each by its name', async () => {
  expect((await request(`${base}/hello`, json({ foo: 'you' }))).status).toBe(201);
  expect((await request(`${base}/double`, json({ x: 2 }))).json).toMatchObject({ success: true });
  expect((await request(`${base}/function/list/data`)).json).toMatchObject([{ function_name: 'double' }]);
  const paths = await request(`${base}/`);
  expect(paths.text).toMatch(/^\/function\/list\/data\n[\s\S]*\/hello\n\/waiting\n$/);
  const both = await request(`${base}/`, { headers: { accept: 'application/json' } });
  expect(both.json).toMatchObject({ processes: [{ id: 'hello' }, {}], functions: [{ function_name: 'double' }] });
  // A process's own tasks are started by it, and by nobody else.
  expect((await request(`${base}/hello.say.later`, json({}))).status).toBe(404);
});

it('doctor names the environment variables that are missing', async () => {
  const { json: found } = await cli('doctor', '--json');
  expect(found.findings).toContainEqual(
    expect.objectContaining({
      code: 'variable-missing',
      text: 'LATER_TOKEN is not set, for say.later of process hello',
    }),
  );
});

it('serve stops within its grace period, also while a synchronous task runs: its request is answered', async () => {
  const slow = new CliProject({
    'processes/slow.yml': 'id: slow\ntasksSync: [wait.long]\n',
    'tasks/custom/wait.js': `
import { processTask } from 'svc-comm/process';
export const long = processTask({ timeout: '10m' }, () => {
  console.log('begun');
  return new Promise(() => undefined);
});
`,
  });
  try {
    expect(await slow.run([bin, 'migrate'])).toMatchObject({ code: 0 });
    const server = slow.start([bin, 'serve', '--port', '0'], { SVC_COMM_GRACE_PERIOD: '1s' });
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(await server.line('listening on')) ?? [];
    const asked = request(`${url}/slow`, json({}));
    await server.line('begun');
    expect(await server.stop()).toBe(0);
    expect(await asked).toMatchObject({ status: 502, json: { taskStatus: 'LOST', instance: { state: 'Failed' } } });

    // A second signal does not wait, and says what that means to who has asked.
    const hasty = slow.start([bin, 'serve', '--port', '0']);
    const [other] = /http:\/\/127\.0\.0\.1:\d+/.exec(await hasty.line('listening on')) ?? [];
    const unanswered = expect(request(`${other}/slow`, json({}))).rejects.toThrow();
    await hasty.line('begun');
    hasty.child.kill('SIGTERM');
    await hasty.line('draining');
    expect(await hasty.stop()).toBe(1);
    expect(hasty.lines.join()).toContain('cut short by a second signal; requests in flight have no answer');
    await unanswered;
  } finally {
    await slow.remove();
  }
});

it('serve refuses a process that has the name of a task, or of a path of its own', async () => {
  const clash = new CliProject({ 'processes/clash.yml': 'id: double\n', 'src/tasks.js': FILES['src/tasks.js'] });
  const own = new CliProject({ 'processes/own.yml': 'id: health\n' });
  try {
    for (const [one, why] of [
      [clash, 'an id that no task has'],
      [own, 'a path of the server'],
    ] as const) {
      const { code, stderr } = await one.run([bin, 'serve', '--port', '0']);
      expect(code).toBe(2);
      expect(stderr).toContain(why);
    }
  } finally {
    await Promise.all([clash.remove(), own.remove()]);
  }
});

it('serve says of a broken file where, and what was expected', async () => {
  const broken = new CliProject({ 'processes/bad.yml': 'id: bad\ntasksSync:\n  - wat\n' });
  try {
    const { code, stderr } = await broken.run([bin, 'serve', '--port', '0']);
    expect(code).toBe(2);
    expect(stderr).toContain('processes/bad.yml:3: tasksSync[0]: expected the name of a task: did you mean wait?');
  } finally {
    await broken.remove();
  }
});
