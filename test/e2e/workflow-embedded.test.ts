import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WorkflowKit } from '../support/workflow-kit.ts';

// examples/workflow as its README starts it, with no server anywhere and no setting made.

const run = promisify(execFile);
let kit: WorkflowKit;

beforeAll(async () => {
  kit = await WorkflowKit.open();
});

afterAll(() => kit.close());

const post = async (url: string, data: unknown): Promise<string> => {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/workflow`, { method: 'POST', headers, body: JSON.stringify({ data }) });
  expect(answer.status).toBe(201);
  return answer.headers.get('location') ?? '';
};

/** What waits, or is on its way for longer than the server waits for it. */
async function consumed(url: string): Promise<Response> {
  let answer: Response;
  do answer = await fetch(`${url}/workflow/consume`);
  while (answer.status === 204);
  return answer;
}

it('npm start needs no server: a workflow is stored, queued and consumed, and what waits is there after a restart', async () => {
  const first = await kit.start(kit.bareEnv());
  const location = await post(first.url, { n: 1 });
  await post(first.url, { n: 2 });
  expect(await (await consumed(first.url)).text()).toBe('n\r\n1\r\n');
  expect(await first.stop()).toBe(0);

  const second = await kit.start(kit.bareEnv());
  expect(await (await fetch(second.url + location)).json()).toMatchObject({ status: 'consumed', data: { n: 1 } });
  expect(await (await consumed(second.url)).text()).toBe('n\r\n2\r\n');
  expect((await fetch(`${second.url}/workflow/consume`)).status).toBe(204);
  expect(await second.stop()).toBe(0);
});

it('takes tables of many thousand cells, up to 1 MiB, and says what is wrong with one that is nested too deep', {
  timeout: 180_000,
}, async () => {
  const { url, stop } = await kit.start(kit.bareEnv());
  const headers = { 'content-type': 'application/json' };
  const rows = (count: number, row: object) => Array.from({ length: count }, () => row);
  await post(url, rows(2_000, { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }));
  const lines = (await (await consumed(url)).text()).split('\r\n');
  expect([lines.length, lines[0], lines[2_000]]).toEqual([2_002, 'a,b,c,d,e,f', '1,2,3,4,5,6']);
  // Keys and next to nothing else: {"":0}
  await post(url, rows(149_000, { '': 0 }));
  expect((await consumed(url)).status).toBe(200);

  const data = `${'{"a":'.repeat(70)}1${'}'.repeat(70)}`;
  const refused = await fetch(`${url}/workflow`, { method: 'POST', headers, body: `{"data":${data}}` });
  expect(refused.status).toBe(422);
  expect(await refused.json()).toMatchObject({ error: 'unprocessable', message: expect.stringContaining('deep') });
  expect(await stop()).toBe(0);
});

it('npm run build compiles it, and npm test passes, with no server anywhere', async () => {
  const options = { cwd: kit.folder, env: kit.bareEnv() };
  await run(process.execPath, [join(kit.folder, 'node_modules/typescript/bin/tsc')], options);
  const test = ['--import', 'tsx', '--test', 'test/csv.test.ts', 'test/workflow.test.ts'];
  const { stdout } = await run(process.execPath, test, options);
  expect(stdout).toMatch(/# pass 6\n# fail 0/);
});
