import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { curl, GROUNDS, SeedProject } from '../support/seed-project.ts';

/** The seed's two functions, with its arguments, limits and descriptions. */
const TASKS = `
import { arg, task, taskRegistry } from 'svc-comm/task';

const addition = task(
  {
    name: 'addition',
    args: { x: arg.integer('A value of X'), y: arg.integer('A value of Y') },
    maxConcurrency: 1,
    description: 'Simple Awesome Addition',
  },
  ({ x, y }) => x + y,
);

const PRIMES = [112272535095293, 112582705942171, 112272535095293, 115280095190773, 115797848077099, 1099726899285419];

function isPrime(n) {
  if (n % 2 === 0) return false;
  for (let i = 3; i <= Math.floor(Math.sqrt(n)); i += 2) if (n % i === 0) return false;
  return true;
}

const multi = task({ name: 'multi', maxConcurrency: 2, description: 'Heavy Function' }, () => {
  // Many times over: it is to run still when it is terminated, however long the requests before it take.
  for (let round = 0; round < 100; round += 1) {
    for (const number of PRIMES) console.log(number + ' is prime: ' + isPrime(number));
  }
  return true;
});

taskRegistry.add(addition, multi);
`;

interface Launched {
  readonly success: boolean;
  readonly message: string;
  readonly task_id: string;
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

describe.each(GROUNDS)('seed 003 on %s', (ground) => {
  const project = new SeedProject(ground, { 'src/tasks.js': TASKS });
  let base: string;
  let addition: string;

  beforeAll(async () => {
    if (ground === 'real servers') await project.migrate();
    const { line } = await project.startCli(['serve', '--port', '0'], 'listening on');
    base = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] ?? '';
    await Promise.all([
      project.startCli(['runpublisher'], 'publishing from the outbox'),
      project.startCli(['runworker'], 'taking tasks'),
    ]);
  });
  afterAll(() => project.remove());

  const say = (line: string) => curl(line, base);
  const ended = async (id: string) => {
    await expect
      .poll(async () => (await say(`curl localhost:8888/task/done/${id}`)).json, { timeout: 30_000 })
      .toBe(true);
  };

  it('$ curl localhost:8888/', async () => {
    expect((await say('$ curl localhost:8888/')).text).toBe(`/function/list/data
/function/list/text
/function/definition/{function_name}
/function/running-count/{function_name}
/task/info/{task_id}
/task/done/{task_id}
/task/result/{task_id}
/task/list/{function_name}
/terminate/function/{function_name}
/terminate/task/{task_id}
`);
  });

  it('$ curl localhost:8888/function/list/text', async () => {
    expect((await say('$ curl localhost:8888/function/list/text')).text).toBe(`addition
URL:
    async api: /addition
    block api: /addition/keep-connection
Max Concurrency: 1
Description:
        Simple Awesome Addition
Args
    x INTEGER Requiered
    A value of X
    y INTEGER Requiered
    A value of Y


multi
URL:
    async api: /multi
    block api: /multi/keep-connection
Max Concurrency: 2
Description:
        Heavy Function
No Args


`);
  });

  it(`$ curl -X POST -H "Content-Type: applicaiton/json" -d '{"x":3, "y":6}' http://localhost:8888/addition`, async () => {
    const line = `$ curl -X POST -H "Content-Type: applicaiton/json" -d '{"x":3, "y":6}' http://localhost:8888/addition`;
    const { status, json } = await say(line);
    expect([status, json]).toEqual([200, { success: true, message: '', task_id: expect.stringMatching(ID) }]);
    addition = (json as Launched).task_id;
  });

  it('$ curl http://localhost:8888/task/info/3a6a0ef-b19e-4e6f-bce3-8d0e5a9046aa', async () => {
    // The seed's id lacks its first letter.
    await ended(addition);
    const { json } = await say(`$ curl http://localhost:8888/task/info/${addition}`);
    expect(json).toEqual({ task_id: addition, function_name: 'addition', status: 'DONE', result: 9 });
    expect((await say(`$ curl http://localhost:8888/task/info/${addition.slice(1)}`)).status).toBe(404);
  });

  it('$ curl http://localhost:8888/task/result/c3a6a0ef-b19e-4e6f-bce3-8d0e5a9046aa', async () => {
    expect((await say(`$ curl http://localhost:8888/task/result/${addition}`)).text).toBe('9');
  });

  it(`$ curl -X POST -H "Content-Type: applicaiton/json" -d '{"x":3, "y":6}' http://localhost:8888/addition/keep-connection`, async () => {
    const line = `$ curl -X POST -H "Content-Type: applicaiton/json" -d '{"x":3, "y":6}' http://localhost:8888/addition/keep-connection`;
    const began = performance.now();
    const { status, text } = await say(line);
    console.log(`keep-connection on ${ground}: ${text} after ${Math.round(performance.now() - began)} ms`);
    expect([status, text]).toEqual([200, '9']);
  });

  it('$ curl -X POST http://localhost:8888/multi: twice it starts, the third is "Over Max Concurrency 2"', async () => {
    const line = '$ curl -X POST http://localhost:8888/multi';
    const [first, second] = [await say(line), await say(line)];
    for (const { json } of [first, second]) {
      expect(json).toEqual({ success: true, message: '', task_id: expect.stringMatching(ID) });
    }
    expect((await say('$ curl localhost:8888/function/running-count/multi')).json).toBe(2);
    expect((await say(line)).json).toEqual({ success: false, message: 'Over Max Concurrency 2', task_id: '' });
  });

  it('/terminate/function/{function_name} and /terminate/task/{task_id}', async () => {
    const running = (await say('$ curl localhost:8888/task/list/multi')).json as { task_id: string; status: string }[];
    expect(running.map(({ status }) => status)).toEqual(['RUNNING', 'RUNNING']);
    const [{ task_id } = { task_id: '' }] = running;
    expect((await say(`$ curl -X POST localhost:8888/terminate/task/${task_id}`)).json).toEqual({});
    expect((await say('$ curl -X POST localhost:8888/terminate/function/multi')).json).toEqual({});
    for (const one of running) {
      await ended(one.task_id);
      expect((await say(`$ curl localhost:8888/task/info/${one.task_id}`)).json).toMatchObject({ status: 'FAILED' });
    }
    expect((await say('$ curl localhost:8888/function/running-count/multi')).json).toBe(0);
  });

  it('/function/list/data and /function/definition/{function_name}', async () => {
    const addition = {
      function_name: 'addition',
      arg_definitions: [
        { name: 'x', type: 'INTEGER', is_required: true, description: 'A value of X' },
        { name: 'y', type: 'INTEGER', is_required: true, description: 'A value of Y' },
      ],
      max_concurrency: 1,
      description: 'Simple Awesome Addition',
      timeout: 86400,
    };
    expect((await say('$ curl localhost:8888/function/definition/addition/')).json).toEqual(addition);
    expect((await say('$ curl localhost:8888/function/list/data')).json).toEqual([
      addition,
      {
        function_name: 'multi',
        arg_definitions: [],
        max_concurrency: 2,
        description: 'Heavy Function',
        timeout: 86400,
      },
    ]);
  });

  it('{"error": "Parameter Missing: y"}', async () => {
    const { status, json } = await say(
      `$ curl -H "Content-Type: application/json" -d '{"x":3}' localhost:8888/addition`,
    );
    expect([status, json]).toEqual([400, { error: 'Parameter Missing: y' }]);
  });
});
