import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { curl, GROUNDS, SeedProject } from '../support/seed-project.ts';

/** The seed's registry.py, as YAML: its spellings, its names, its tuples. */
const HELLO_WORLD = `
id: hello-world
# meta info is used for building documentation
meta:
  name: HelloWorld
  description: '...'
  fields:
    - { name: foo, description: '..', type: TYPES.CharField, default: null, required: true }
# validation methods to verify - all must resolve true
validations: # validations are a tuple. The second item is the arguments as an array
  - [validations.required_fields, [foo, bar, baz]]
  - [validations.some_custom_validation]
# synchronous tasks are run inline. If they fail, the result will be 502
tasks_sync:
  - tasks.say_hello
# async tasks are run on a queue
tasks_async:
  - tasks.comms.send_hello_email
  # you can optionally pass an argument which determines when the task will run.
  - [tasks.analytics.record_hello_hit, { delay: 1s }]
`;

/** With nothing beside it: only steps of the package. */
const PLAIN = `
id: hello
meta: { fields: [{ name: foo }] }
validations: [[requiredFields, [foo]]]
tasksSync: [[transform, { args: { expression: '"hello " & body.foo' } }]]
tasksAsync: [[wait, { args: { for: 10ms } }]]
`;

const FILES = {
  'processes/registry.yml': HELLO_WORLD,
  'processes/plain.json': JSON.stringify({ id: 'from-json', tasksSync: [['wait', { args: { for: '1ms' } }]] }),
  'processes/hello.yaml': PLAIN,
  'tasks/custom/say_hello.js': `
export default function sayHello({ body, raw }) {
  if (body.foo === 'fail') throw new Error('no hello today');
  return { hello: body.foo, method: raw.method };
}`,
  'tasks/custom/comms.js': `
import { processTask } from 'svc-comm/process';
export const send_hello_email = processTask({ env: ['MAIL_TOKEN'] }, ({ body, context }) => {
  return { to: body.foo, token: context.env.MAIL_TOKEN };
});`,
  'tasks/custom/analytics.ts': `
export async function record_hello_hit(request: { body: { foo: string } }): Promise<string> {
  return 'hit by ' + request.body.foo;
}`,
  'validations/custom/some_custom_validation.js': `
export default ({ body }) => body.foo !== 'bad' || 'foo is bad';`,
};

interface Instance {
  readonly id: string;
  readonly state: string;
  readonly tasks: readonly { readonly name: string; readonly status: string; readonly result: unknown }[];
}

describe.each(GROUNDS)('seed 000 on %s', (ground) => {
  const project = new SeedProject(ground, FILES, { MAIL_TOKEN: 'secret of the mail' });
  let base: string;

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

  const post = (path: string, body: string) =>
    curl(`curl -X POST -H "Content-Type: application/json" -d '${body}' localhost:8888${path}`, base);
  const get = (path: string) => curl(`curl localhost:8888${path}`, base);
  const ended = async ({ id }: Instance, process: string): Promise<Instance> => {
    const look = async () => (await get(`/${process}/${id}`)).json as Instance;
    await expect.poll(async () => (await look()).state, { timeout: 40_000 }).not.toBe('Running');
    return look();
  };

  it('POST /:process_id Create a process instance (e.g.: `POST /hello-world`)', async () => {
    const { status, json } = await post('/hello-world', '{"foo":"you","bar":1,"baz":2}');
    expect([status, json]).toEqual([201, expect.objectContaining({ process: 'hello-world', state: 'Running' })]);
    expect((json as Instance).tasks[0]).toMatchObject({ status: 'SUCCESS', result: { hello: 'you', method: 'POST' } });
    expect(await ended(json as Instance, 'hello-world')).toMatchObject({
      state: 'Complete',
      tasks: [
        { name: 'say_hello' },
        { name: 'comms.send_hello_email', result: { to: 'you', token: 'secret of the mail' } },
        { name: 'analytics.record_hello_hit', result: 'hit by you' },
      ],
    });
  });

  it('validation methods to verify - all must resolve true', async () => {
    const answer = await post('/hello-world', '{"foo":"bad"}');
    expect(answer).toMatchObject({
      status: 422,
      json: {
        errors: [
          { kind: 'validation', name: 'requiredFields', why: 'required: bar, baz' },
          { kind: 'validation', name: 'some_custom_validation', why: 'foo is bad' },
        ],
      },
    });
  });

  it('synchronous tasks are run inline. If they fail, the result will be 502', async () => {
    const answer = await post('/hello-world', '{"foo":"fail","bar":1,"baz":2}');
    expect(answer).toMatchObject({
      status: 502,
      json: { task: 'say_hello', detail: expect.stringContaining('no hello') },
    });
    expect((answer.json as { instance: Instance }).instance.tasks.map(({ status }) => status)).toEqual([
      'FAILURE',
      'SKIPPED',
      'SKIPPED',
    ]);
  });

  it('a process of the package alone, from a YAML file with nothing else written', async () => {
    const { status, json } = await post('/hello', '{"foo":"world"}');
    expect(status).toBe(201);
    expect((json as Instance).tasks[0]?.result).toBe('hello world');
    expect(await ended(json as Instance, 'hello')).toMatchObject({
      state: 'Complete',
      tasks: [{ name: 'transform' }, { name: 'wait', result: { waitedMs: 10 } }],
    });
    expect((await post('/from-json', '{}')).status).toBe(201);
  });

  it('GET /: List processess', async () => {
    const { status, json } = await get('/');
    expect(status).toBe(200);
    expect(json).toMatchObject([
      { id: 'hello', name: 'hello' },
      { id: 'from-json' },
      {
        id: 'hello-world',
        name: 'HelloWorld',
        description: '...',
        fields: [{ name: 'foo', description: '..', type: 'char', isRequired: true }],
        validations: [{ name: 'requiredFields', args: ['foo', 'bar', 'baz'] }, { name: 'some_custom_validation' }],
        tasksSync: [{ name: 'say_hello' }],
        tasksAsync: [
          { name: 'comms.send_hello_email', env: ['MAIL_TOKEN'], when: { kind: 'now' } },
          { name: 'analytics.record_hello_hit', when: { kind: 'delay', ms: 1000 } },
        ],
      },
    ]);
  });

  it('DJProcess builds documentation for you as you go.', async () => {
    const { json } = await get('/openapi.json');
    expect(json).toMatchObject({
      openapi: '3.1.0',
      paths: {
        '/hello-world': {
          post: {
            requestBody: { content: { 'application/json': { schema: { properties: { foo: { type: 'string' } } } } } },
          },
        },
      },
    });
    expect((await get('/docs')).status).toBeLessThan(400);
  });
});
