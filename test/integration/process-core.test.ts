import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SvcCommService } from '../../src/assemble.ts';
import { readProcesses } from '../../src/process/document.ts';
import type { ProcessInstance } from '../../src/process/instance.ts';
import type { Processes } from '../../src/process/processes.ts';
import { commandConsumer } from '../../src/router/command-consumer.ts';
import { eventConsumer } from '../../src/router/event-consumer.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { HttpKit, json } from '../support/http-kit.ts';
import { ProcessKit } from '../support/process-kit.ts';
import { GROUNDS } from '../support/seed-project.ts';
import { testBrokerUrl } from '../support/servers.ts';

/** Steps of the package alone. `SYNC` and `ASYNC` of them do the same in the server and in a worker. */
const document = (exchange: string, api: string) => `
id: core-sync
tasksSync: &steps
  - [event.publish, { args: { aggregate: ${exchange}.greeting, eventType: said, payload: = body, key: = body.name } }]
  - [command.send, { args: { service: ${exchange}.sms, commandName: send, arguments: { to: = body.name } } }]
  - [csv.write, { args: { file: deep/hits.csv, rows: '= [body]', columns: [name, formula] } }]
  - [http.request, { env: [API_TOKEN], args: { method: post, url: '${api}/hits', json: { who: = body.name },
      headers: { authorization: '= "Bearer " & env.API_TOKEN' } } }]
---
id: core-async
tasksAsync:
  - [event.publish, { args: { aggregate: ${exchange}.greeting, eventType: said, payload: = body, key: = body.name } }]
  - [command.send, { args: { service: ${exchange}.sms, commandName: send, arguments: { to: = body.name } } }]
  - [csv.write, { args: { file: deep/hits.csv, rows: '= [body]', columns: [name, formula] } }]
  - [http.request, { env: [API_TOKEN], args: { method: post, url: '${api}/hits', json: { who: = body.name },
      headers: { authorization: '= "Bearer " & env.API_TOKEN' } } }]
---
id: addressed
tasksSync:
  - [http.request, { args: { url: = body.url, origins: ['${api}'] } }]
---
id: filed
tasksSync: [[csv.write, { args: { file: = body.file, rows: '= [body]' } }]]
---
id: transformed
tasksSync:
  - [transform, { args: { expression: "{ 'total': $sum(body.items.(price * count)), 'by': user }" } }]
  - [transform, { args: { expression: results.transform.total * 2 } }]
---
id: endless
tasksSync: [[transform, { args: { expression: '($f := function($x) { $f($x + 1) }; $f(1))' } }]]
---
id: timed
tasksAsync: [[wait, { args: { for: 1ms }, at: = body.when }]]
---
id: delayed
tasksSync: [[wait, { args: { for: 1s } }]]
tasksAsync: [[transform, { args: { expression: '1' }, delay: 1h }]]
---
id: checked
validations:
  - [type, [age, integer]]
  - [range, [age, 18, 120]]
  - [pattern, [plate, '^[A-Z]{1,3}-\\d+$']]
  - [oneOf, [size, s, m]]
  - [jsonSchema, [{ type: object, properties: { address: { type: object, required: [city] } } }]]
`;

describe.each(GROUNDS)('the steps of the package on %s', (ground) => {
  const folder = mkdtempSync(join(tmpdir(), 'svc-comm-core-'));
  const said: unknown[] = [];
  const sent: unknown[] = [];
  let kit: ProcessKit;
  let api: HttpKit;
  let service: SvcCommService;
  let processes: Processes;

  beforeAll(async () => {
    vi.stubEnv('API_TOKEN', 'token of the api').stubEnv('SVC_COMM_INSTANCES_FOLDER', join(folder, 'data'));
    api = await HttpKit.open((_, response) => json(response, { got: true }, 201));
    kit = await ProcessKit.create(ground);
    const text = document(kit.schema, api.url);
    writeFileSync(join(folder, 'core.yml'), text);
    vi.stubEnv('SVC_COMM_SCHEMA', kit.schema);
    // A task's process makes its service of the settings: with embedded servers the worker says where they are.
    if (ground === 'real servers') {
      vi.stubEnv('SVC_COMM_BROKER_URL', testBrokerUrl()).stubEnv('SVC_COMM_DATABASE_URL', kit.db.url);
    }
    kit.registry.add(...readProcesses(text, 'core.yml'));
    const router = new MessageRouter();
    router.consumer(`${kit.schema}.greeting`, 'said')(eventConsumer(async (payload) => void said.push(payload)));
    router.consumer(`${kit.schema}.sms`, 'send')(commandConsumer(async (args) => void sent.push(args)));
    service = kit.service({ folder: join(folder, 'data') }, router);
    await service.consumer().start();
    processes = await service.processes();
    await kit.startWorker(service, [join(folder, 'core.yml')]);
  });
  afterAll(async () => {
    await kit.close();
    await api.close();
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = async (process: string, body: object): Promise<ProcessInstance> => {
    const { instance } = await processes.create(process, body);
    return processes.ended(instance.id, { timeout: 50 });
  };
  /** How its first task failed. */
  const failure = async (process: string, body: object): Promise<string | undefined> =>
    (await run(process, body)).tasks[0]?.error?.message;

  it.each(['core-sync', 'core-async'])('publish, send, write and ask: %s', async (process) => {
    const body = { name: process, formula: '=1+1' };
    const instance = await run(process, body);
    expect(instance.tasks.map(({ name, error }) => [name, error])).toEqual([
      ['event.publish', undefined],
      ['command.send', undefined],
      ['csv.write', undefined],
      ['http.request', undefined],
    ]);
    expect(instance.tasks[3]?.result).toEqual({ status: 201, body: { got: true } });
    await expect.poll(() => said, { timeout: 20_000 }).toContainEqual(body);
    await expect.poll(() => sent, { timeout: 20_000 }).toContainEqual({ to: process });
    const [line] = api.asked('/hits').filter((seen) => seen.body.includes(process));
    expect(line).toMatchObject({ method: 'POST', headers: { authorization: 'Bearer token of the api' } });
    // What would be a formula to a spreadsheet is none.
    const csv = readFileSync(join(folder, 'data/deep/hits.csv'), 'utf8');
    expect(csv.startsWith('name,formula\n')).toBe(true);
    expect(csv).toContain(`${process},'=1+1\n`);
  });

  it('ask no other origin than their author allows', async () => {
    expect((await run('addressed', { url: `${api.url}/x?y=1` })).state).toBe('Complete');
    const { host } = new URL(api.url);
    for (const url of [
      'http://169.254.169.254/latest/meta-data',
      `${api.url}@evil.example/`,
      `http://evil.example/?${api.url}`,
      `http://user:pass@${host}/`,
      `${api.url.replace('127.0.0.1', 'localhost')}/`,
      'file:///etc/passwd',
      `${api.url}/a/../../b`,
      `${api.url}\\x`,
      '',
    ]) {
      expect(await failure('addressed', { url }), url).toBeTypeOf('string');
    }
    expect(api.asked('/x')).toHaveLength(1);
    expect(api.seen.filter(({ url }) => !/^\/(x|hits)/.test(url))).toEqual([]);
  });

  it('write nowhere but in their folder', async () => {
    expect((await run('filed', { file: 'one.csv' })).state).toBe('Complete');
    symlinkSync(tmpdir(), join(folder, 'data/out'));
    symlinkSync(join(folder, 'core.yml'), join(folder, 'data/link.csv'));
    for (const file of [
      '../up.csv',
      '/tmp/abs.csv',
      'a/../../b.csv',
      'out/x.csv',
      'link.csv',
      '',
      '.',
      'a//b',
      'x\0',
    ]) {
      expect(await failure('filed', { file }), file).toBeTypeOf('string');
    }
  });

  it('transform what came, and what was made of it, within their time', async () => {
    const items = [
      { price: 2, count: 3 },
      { price: 1, count: 1 },
    ];
    expect((await run('transformed', { items })).tasks.map(({ result }) => result)).toEqual([{ total: 7, by: '' }, 14]);
    expect(await failure('endless', {})).toMatch(/Stack overflow|timeout/i);
  });

  it('begin at the time that an expression of the input says', async () => {
    const when = '2099-01-01T00:00:00.000Z';
    const { instance } = await processes.create('timed', { when });
    expect(instance).toMatchObject({ state: 'Running', tasks: [{ status: 'PENDING', dueAt: new Date(when) }] });
    expect((await processes.cancel(instance.id, { timeout: 20 })).state).toBe('Cancelled');
    await expect(processes.create('timed', { when: 'soon' })).rejects.toThrow(/wait: it is to begin at "soon"/);
  });

  it('begin a delay after the last synchronous one has ended, not after the instance was created', async () => {
    const { instance } = await processes.create('delayed', {});
    const dueAt = instance.tasks.at(-1)?.dueAt?.getTime() ?? 0;
    // A timer may be a millisecond early.
    expect(dueAt - instance.createdAt.getTime()).toBeGreaterThanOrEqual(3_600_000 + 1000 - 10);
    expect((await processes.cancel(instance.id, { timeout: 20 })).state).toBe('Cancelled');
  });

  it('validate types, ranges, forms, choices and schemas, each with its reason', async () => {
    const good = { age: 20, plate: 'HH-12', size: 's', address: { city: 'x' } };
    expect((await run('checked', good)).state).toBe('Complete');
    expect((await run('checked', {})).state).toBe('Complete');
    const bad = { age: 12, plate: 'hh-12', size: 'l', address: {} };
    await expect(processes.create('checked', bad)).rejects.toMatchObject({
      problems: [
        { name: 'range', why: 'age: expected a number from 18 to 120, got 12' },
        { name: 'pattern', why: 'plate: expected a text of the form ^[A-Z]{1,3}-\\d+$, got "hh-12"' },
        { name: 'oneOf', why: 'size: expected one of "s", "m", got "l"' },
        { name: 'jsonSchema', why: expect.stringContaining('city') },
      ],
    });
    await expect(processes.create('checked', { ...good, age: 'x' })).rejects.toThrow(
      /type: age: expected a whole number/,
    );
  });
});
