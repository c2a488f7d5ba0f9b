import { parse } from 'csv-parse/sync';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testDatabaseUrl } from '../support/servers.ts';
import { type Running, WorkflowKit } from '../support/workflow-kit.ts';

// The endpoint table and the curl lines of the README of testNuveo, against examples/workflow as a process of its own on
// RabbitMQ and PostgreSQL. Its curl body is no JSON and its port and path vary: the tests say what is sent.

interface Workflow {
  readonly uuid: string;
  readonly status: string;
  readonly data: unknown;
  readonly steps: readonly string[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** What the README's curl line means. */
const BODY = {
  data: { name: 'workflow-1', work: 'work-1', tags: { tag_work: '@tagwork-1', score: 100 } },
  steps: ['step-1', 'step-2'],
};

let kit: WorkflowKit;
let running: Running;

beforeAll(async () => {
  kit = await WorkflowKit.open();
  running = await kit.start();
});

afterAll(async () => {
  expect(await running.stop()).toBe(0);
  await kit.close();
  await kit.clean();
});

const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${running.url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : {
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        }),
  });

async function query(sql: string, values: unknown[] = []): Promise<void> {
  const client = new pg.Client(testDatabaseUrl());
  await client.connect();
  await client.query(sql, values);
  await client.end();
}

async function insert(body: unknown = BODY): Promise<Workflow> {
  return (await (await ask('POST', '/workflow', body)).json()) as Workflow;
}

/** Takes what waits until the queue is empty. */
async function consumeAll(): Promise<Response[]> {
  const answers: Response[] = [];
  for (;;) {
    const answer = await ask('GET', '/workflow/consume');
    if (answer.status === 204) return answers;
    answers.push(answer);
  }
}

it('UUID|UUID|Identificador único do workflow — a UUID of the service’s own', async () => {
  const [a, b] = await Promise.all([insert(), insert()]);
  expect(a.uuid).toMatch(UUID);
  expect(a.uuid).not.toBe(b.uuid);
  await consumeAll();
});

it.each(['/workflow', '/workflow/'])(
  'curl -d \'{"data": {{"name": "workflow-1","work": "work-1",…\' -H "Content-Type: application/json" -X POST http://localhost:8000%s',
  async (path) => {
    const answer = await ask('POST', path, BODY);
    const workflow = (await answer.json()) as Workflow;
    // HTTP/1.1 201 Created … Content-Type: application/json … Location: /thing/1
    expect(answer.status).toBe(201);
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect(answer.headers.get('location')).toBe(`/workflow/${workflow.uuid}`);
    expect(workflow).toEqual({ uuid: workflow.uuid, status: 'inserted', ...BODY });
    expect(await (await ask('GET', answer.headers.get('location') ?? '')).json()).toEqual(workflow);
    await consumeAll();
  },
);

it('the curl line as it stands in the README, which is no JSON, is answered 400', async () => {
  const asItStands =
    '{"data": {{"name": "workflow-1","work": "work-1",{"tag_work": "@tagwork-1",score": 100},{"steps":"step-1","step-2"]}';
  expect((await ask('POST', '/workflow', asItStands)).status).toBe(400);
});

it('PATCH|/workflow/{UUID}|Atualizar o status de um workflow específico', async () => {
  const { uuid } = await insert();
  const answer = await ask('PATCH', `/workflow/${uuid}`, { status: 'consumed' });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ uuid, status: 'consumed', ...BODY });
  // What is consumed already is not consumed again by its message.
  expect(await consumeAll()).toEqual([]);
});

it('status|Enum(inserted, consumed) — another status is 422, another workflow 404', async () => {
  const { uuid } = await insert();
  expect((await ask('PATCH', `/workflow/${uuid}`, { status: 'done' })).status).toBe(422);
  expect((await ask('PATCH', `/workflow/${uuid}`, {})).status).toBe(422);
  expect((await ask('PATCH', '/workflow/00000000-0000-4000-8000-000000000000', { status: 'consumed' })).status).toBe(
    404,
  );
  expect((await ask('PATCH', '/workflow/1', { status: 'consumed' })).status).toBe(404);
  await consumeAll();
});

it("GET|/workflow|lista todos os workflows — curl -i -H 'Accept: application/json' http://localhost:7000/thing/", async () => {
  const uuids = (await Promise.all([insert(), insert(), insert()])).map(({ uuid }) => uuid);
  const answer = await ask('GET', '/workflow/');
  const all = (await answer.json()) as Workflow[];
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toContain('application/json');
  expect(all.map(({ uuid }) => uuid)).toEqual(expect.arrayContaining(uuids));
  expect(answer.headers.get('x-total-count')).toBe(String(all.length));
  const page = await ask('GET', `/workflow?limit=2&offset=1`);
  expect(await page.json()).toEqual(all.slice(1, 3));
  expect(page.headers.get('x-total-count')).toBe(String(all.length));
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'offset=-1']) {
    expect((await ask('GET', `/workflow?${query}`)).status, query).toBe(422);
  }
  await consumeAll();
});

it('GET|/workflow/consume|Consume um workflow da fila e gera um CSV do workflow.Data', async () => {
  const { uuid } = await insert();
  const answer = await ask('GET', '/workflow/consume');
  const text = await answer.text();
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8');
  expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="workflow-${uuid}.csv"`);
  // The order of the keys is jsonb's, which keeps none.
  expect(text).toBe("name,tags.score,tags.tag_work,work\r\nworkflow-1,100,'@tagwork-1,work-1\r\n");
  expect(await (await ask('GET', `/workflow/${uuid}`)).json()).toMatchObject({ status: 'consumed' });
  // Whoever hung up gets it again, which consumes nothing.
  expect(await (await ask('GET', `/workflow/${uuid}.csv`)).text()).toBe(text);
  expect((await ask('GET', '/workflow/consume')).status).toBe(204);
});

it('the oldest is consumed first, each once, also by several at a time', async () => {
  const inserted = [];
  for (let i = 0; i < 12; i++) inserted.push(await insert({ data: { i } }));
  const first = await ask('GET', '/workflow/consume');
  expect(await first.text()).toBe('i\r\n0\r\n');
  const rest = await Promise.all(Array.from({ length: 4 }, () => consumeAll()));
  const seen = await Promise.all(rest.flat().map(async (answer) => Number((await answer.text()).split('\r\n')[1])));
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 11 }, (_, i) => i + 1));
});

it('HEAD /workflow/consume consumes nothing', async () => {
  await insert();
  expect((await ask('HEAD', '/workflow/consume')).status).toBe(404);
  expect(await consumeAll()).toHaveLength(1);
});

it('data|JSONB|Entrada de dados do workflow — nested keys, lists, quotes, lines and formulas come out as CSV can hold them', async () => {
  const data = [
    { a: { b: { c: 1 } }, list: ['x', { y: 'z' }], empty: {}, none: null, yes: true, minus: -5 },
    { '=cmd|calc!A0': '=1+1', plus: '+1', minus: '-1', at: '@x', tab: '\tx', text: 'say "hi",\r\nü' },
  ];
  await insert({ data });
  const [answer] = await consumeAll();
  const rows = parse(await (answer as Response).text(), { columns: true }) as Record<string, string>[];
  expect(rows[0]).toMatchObject({
    'a.b.c': '1',
    'list.0': 'x',
    'list.1.y': 'z',
    empty: '{}',
    none: '',
    yes: 'true',
    minus: '-5',
  });
  expect(rows[1]).toMatchObject({ "'=cmd|calc!A0": "'=1+1", plus: "'+1", minus: "'-1", at: "'@x", tab: "'\tx" });
  expect(rows[1]?.text).toBe('say "hi",\r\nü');
});

it('steps|Array|Nome dos passos do workflow — a list of texts, empty when left out', async () => {
  expect(await insert({ data: {} })).toMatchObject({ steps: [] });
  await consumeAll();
});

it.each([
  ['no data', { steps: [] }],
  ['data that is a text', { data: 'x' }],
  ['data that is a list of numbers', { data: [1] }],
  ['steps that are numbers', { data: {}, steps: [1] }],
  ['a field that it does not know', { data: {}, status: 'consumed' }],
  ['NUL, which jsonb cannot hold', { data: { a: 'b\u0000' } }],
  ['half a surrogate pair', '{"data":{"a":"\\ud800"}}'],
  ['no body', undefined],
])('%s is answered 422, and nothing is stored', async (_, body) => {
  const before = (await ask('GET', '/workflow')).headers.get('x-total-count');
  expect((await ask('POST', '/workflow', body)).status).toBe(422);
  expect((await ask('GET', '/workflow')).headers.get('x-total-count')).toBe(before);
});

it('a body over 1 MB is 413, one just below is taken; other types are 415', async () => {
  const text = (bytes: number) => JSON.stringify({ data: { a: 'x'.repeat(bytes) } });
  expect((await ask('POST', '/workflow', text(1024 * 1024))).status).toBe(413);
  expect((await ask('POST', '/workflow', text(1024 * 1024 - 100))).status).toBe(201);
  expect((await ask('POST', '/workflow', '{}', { 'content-type': 'text/plain' })).status).toBe(415);
  expect((await ask('POST', '/workflow', 'a=1', { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(
    415,
  );
  await consumeAll();
});

it.each([
  ['50,000 rows, each with a key of its own', Array.from({ length: 50_000 }, (_, n) => ({ [`k${n}`]: 0 }))],
  [
    '50,000 keys below one of 500 KB',
    { ['p'.repeat(500_000)]: Object.fromEntries(Array.from({ length: 50_000 }, (_, n) => [n, 0])) },
  ],
])('data whose CSV no process could hold (%s) are answered 422, and nothing is stored', async (_, data) => {
  const before = (await ask('GET', '/workflow')).headers.get('x-total-count');
  const answer = await ask('POST', '/workflow', { data });
  expect(answer.status).toBe(422);
  expect(await answer.json()).toEqual({
    error: 'unprocessable',
    message: expect.stringMatching(/CSV would have over/),
  });
  expect((await ask('GET', '/workflow')).headers.get('x-total-count')).toBe(before);
});

it('such data that the table has already are answered 422 where their CSV is asked for, and 200 as JSON', async () => {
  const { uuid } = await insert();
  await query(
    `UPDATE "${kit.name}".workflow SET data =
       (SELECT jsonb_agg(jsonb_build_object('k' || n, 0)) FROM generate_series(1, 50000) n) WHERE uuid = $1`,
    [uuid],
  );
  for (const path of ['/workflow/consume', `/workflow/${uuid}.csv`]) {
    const answer = await ask('GET', path);
    expect(answer.status).toBe(422);
    expect(await answer.json()).toEqual({
      error: 'unprocessable',
      message: `/workflow/${uuid}: its CSV would have over 1000000 cells: rows times different keys`,
    });
  }
  expect(await (await ask('GET', `/workflow/${uuid}`)).json()).toMatchObject({ status: 'consumed' });
  expect((await ask('GET', '/workflow/consume')).status).toBe(204);
});

it('a page holds 8 MiB of workflows: behind that it says that they are abridged, in the place that each has', async () => {
  const offset = Number((await ask('GET', '/workflow')).headers.get('x-total-count'));
  await query(
    `INSERT INTO "${kit.name}".workflow (data, steps)
     SELECT jsonb_build_object('n', n, 'a', repeat('x', CASE WHEN n = 12 THEN 10 ELSE 1040000 END)), ARRAY['step']
       FROM generate_series(1, 12) n ORDER BY n`,
  );
  const answer = await ask('GET', `/workflow?limit=1000&offset=${offset}`);
  const text = await answer.text();
  const page = JSON.parse(text) as (Partial<Workflow> & {
    readonly abridged?: boolean;
    readonly data?: { n: number };
  })[];
  expect(text.length).toBeLessThan(8.1 * 1024 * 1024);
  expect(page.map(({ data }) => data?.n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, ...Array(4).fill(undefined)]);
  expect(page.slice(8).map(({ uuid, ...rest }) => [uuid?.length, rest])).toEqual(
    Array(4).fill([36, { status: 'inserted', abridged: true }]),
  );
  expect(answer.headers.get('x-total-count')).toBe(String(offset + 12));
  const last = page.at(-1);
  expect(await (await ask('GET', `/workflow/${last?.uuid}`)).json()).toMatchObject({
    data: { n: 12 },
    steps: ['step'],
  });
  expect(await (await ask('GET', `/workflow?offset=${offset + 11}`)).json()).toMatchObject([{ data: { n: 12 } }]);
});

it.each(['/', '/wrokflow', '/workflow/x/y', '/workflow/00000000-0000-4000-8000-000000000000.csv'])(
  '%s is 404',
  async (path) => {
    const answer = await ask('GET', path);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: 'not_found' });
  },
);
