import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser, openPage, poorContrast, takeScreenshot, whyNoBrowser } from '../support/browser.ts';
import { bin, CliProject, type Running } from '../support/cli-project.ts';
import { request } from '../support/fastify-kit.ts';

const EVIL = '<img src=x onerror="document.title=1"><script>document.title=1</script>';

const project = new CliProject({
  'src/tasks.js': `
import { arg, task } from 'svc-comm/task';

export const addition = task(
  {
    name: 'addition',
    description: 'Adds two numbers.',
    args: {
      x: arg.integer('The first one'),
      y: arg.integer('The second one', { default: 1 }),
      unit: arg.string('Shown behind the sum', { required: false }),
    },
    maxConcurrency: 2,
  },
  ({ x, y, unit }) => (unit ? x + y + ' ' + unit : x + y),
);
export const evil = task({ name: 'evil', description: ${JSON.stringify(EVIL)} }, () => ${JSON.stringify(EVIL)});
`,
  'test/tasks.test.js': `
describe('addition', () => {
  it('adds two whole numbers', () => {});
  it('shows the unit behind the sum', () => {});
});
describe('evil', () => it(${JSON.stringify(EVIL)}, () => {}));
`,
  'src/contracts.js': `
import { callable, command, event } from 'svc-comm';
import { z } from 'zod';

const line = z.object({ sku: z.string(), count: z.int().min(1) });
export const orderCreated = event('EXCHANGE', 'create.base', z.object({ id: z.uuid(), total: z.number().describe('In cents'), lines: z.array(line) }), { description: 'An order was placed and paid.' });
export const sendSms = command('EXCHANGE.sms', 'send', z.object({ phone: z.string(), text: z.string() }), { description: 'Sends a text message.' });
export const quote = callable('EXCHANGE.pricing', 'quote', { input: z.object({ sku: z.string() }), output: z.number(), description: 'What an article costs today.' });
`,
  'src/consumers.js': `
import { messageRouter } from 'svc-comm';
import { orderCreated } from './contracts.js';

messageRouter.consumer(orderCreated)(async function keepOrder() {});
`,
  'processes/hello.yaml': `
id: hello-world
meta:
  name: HelloWorld
  description: Greets somebody, and remembers it.
  tags: [greeting]
  fields:
    - { name: foo, description: Who is greeted, type: CharField, required: true }
    - { name: times, description: How often, type: integer, default: 1 }
validations:
  - [requiredFields, [foo]]
tasksSync:
  - [wait, [{ for: 10ms }]]
tasksAsync:
  - [wait, [{ for: 50ms }]]
`,
  'processes/odd.yaml': `
id: odd
meta:
  name: Odd
  fields:
    - { name: share, type: float }
    - { name: count, type: integer }
    - { name: letter, type: text, default: "\\nDear,\\n  yours" }
tasksSync:
  - [wait, [{ for: 1ms }]]
`,
});
project.link('zod');

const skipReason = await whyNoBrowser();
let server: Running;
let url: string;
let browser: Browser;

beforeAll(async () => {
  expect((await project.cli('migrate')).code).toBe(0);
  server = project.startCli('serve', '--docs', '--all', '--port', '0');
  [url = ''] = /https?:\/\/[^ "]+/.exec(await server.line('listening on')) ?? [];
});
afterAll(async () => {
  expect(await server.stop()).toBe(0);
  await project.remove();
});

describe('svc-comm serve --docs --all', () => {
  it('listens on 4000 unless a port is said', async () => {
    const ended = await project.run([bin, 'serve', '--docs', '--help']);
    expect(ended.stdout).toContain('4000');
    const other = project.start([bin, 'serve', '--docs'], { SVC_COMM_HTTP_HOST: '127.0.0.1' });
    // Listening on it, or told that another does.
    expect(await other.line('4000')).toMatch(/listening on http:\/\/127\.0\.0\.1:4000|port 4000: another process/);
    await other.stop();
  });

  it('tells of processes, tasks, behaviours and messages, on the page and in both documents', async () => {
    const { text } = await request(`${url}/docs`);
    const parts = [
      'HelloWorld',
      'addition',
      'shows the unit behind the sum',
      `${project.exchange} · create.base`,
      'keepOrder',
    ];
    expect(parts.filter((part) => !text.includes(part))).toEqual([]);
    const asyncApi = JSON.stringify((await request(`${url}/asyncapi.json`)).json);
    expect(asyncApi).toContain(`send.command.${project.exchange}.sms.send`);
    expect(asyncApi).not.toContain('guest:');
    expect((await request(url)).text).toContain('/function/list/data');
    const openApi = (await request(`${url}/openapi.json`)).json;
    expect(openApi).toMatchObject({ paths: { '/addition': {}, '/hello-world': {} } });
  });
});

describe.skipIf(skipReason)(`the page /docs in Chromium${skipReason ? ` (${skipReason})` : ''}`, () => {
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  const form = (page: Page, name: string) => page.getByRole('form', { name: `Try ${name}` });

  it('runs a process by its form and shows how it ended; no request leaves the machine, and the console is empty', async () => {
    const { page, requests, complaints, close } = await openPage(browser, { viewport: { width: 1280, height: 900 } });
    await page.goto(url);
    expect(page.url()).toBe(`${url}/docs`);
    expect(await page.title()).toContain(project.name);
    const hello = form(page, 'HelloWorld');
    await hello.getByLabel('foo').fill('World');
    await hello.getByRole('button', { name: 'Run' }).click();
    await hello.locator('.state[data-state="done"]').waitFor();
    expect(await hello.getByRole('status').textContent()).toBe('Complete');
    const answer = JSON.parse((await hello.locator('.answer').textContent()) ?? '');
    expect(answer).toMatchObject({ process: 'hello-world', state: 'Complete', input: { foo: 'World', times: 1 } });
    expect(answer.tasks.map(({ status }: { status: string }) => status)).toEqual(['SUCCESS', 'SUCCESS']);
    await takeScreenshot(page, 'docs');
    expect(complaints).toEqual([]);
    expect(requests.length).toBeGreaterThan(4);
    expect(requests.filter((asked) => !asked.startsWith(`${url}/`) && asked !== 'data:,')).toEqual([]);
    await close();
  });

  it('runs a task, says what is wrong with an argument, and sends no field that is empty', async () => {
    const { page, close } = await openPage(browser);
    await page.goto(`${url}/docs`);
    const addition = form(page, 'addition');
    const run = addition.getByRole('button', { name: 'Run' });
    await run.click();
    await addition.locator('.state[data-state="failed"]').waitFor();
    expect(await addition.getByRole('status').textContent()).toBe('400 Bad Request');
    expect(await addition.locator('.answer').textContent()).toContain('Parameter Missing: x');
    await addition.getByLabel('x', { exact: false }).first().fill('3');
    await run.click();
    await addition.locator('.state[data-state="done"]').waitFor();
    expect(JSON.parse((await addition.locator('.answer').textContent()) ?? '')).toMatchObject({
      status: 'DONE',
      result: 4,
    });
    await page.route('**/addition', (route) => route.abort());
    await run.click();
    await addition.locator('.state[data-state="failed"]').waitFor();
    expect(await addition.getByRole('status').textContent()).toContain('No answer');
    expect(await addition.locator('.answer').isVisible()).toBe(false);
    await close();
  });

  it('goes on to look at a run when the server is not there for a while', async () => {
    const { page, close } = await openPage(browser);
    await page.goto(`${url}/docs`);
    const hello = form(page, 'HelloWorld');
    const looks: string[] = [];
    await page.route('**/hello-world/*', async (route) => {
      looks.push(route.request().method());
      if (looks.length === 1) await route.abort('connectionrefused');
      else if (looks.length === 2) await route.fulfill({ status: 503, body: 'starting' });
      else await route.continue();
    });
    await hello.getByLabel('foo').fill('World');
    await hello.getByRole('button', { name: 'Run' }).click();
    await hello.locator('.state[data-state="done"], .state[data-state="failed"]').waitFor();
    expect(await hello.getByRole('status').textContent()).toBe('Complete');
    expect(looks.length).toBeGreaterThan(2);
    await close();
  });

  it('sends numbers as a browser takes them, and texts of several lines as they are', async () => {
    const { page, close } = await openPage(browser);
    await page.goto(`${url}/docs`);
    const odd = form(page, 'Odd');
    await odd.getByLabel('share').fill('.5');
    await odd.getByLabel('count').fill('007');
    await odd.getByRole('button', { name: 'Run' }).click();
    await odd.locator('.state[data-state="done"], .state[data-state="failed"]').waitFor();
    expect(await odd.getByRole('status').textContent()).toBe('Complete');
    const answer = JSON.parse((await odd.locator('.answer').textContent()) ?? '');
    expect(answer.input).toEqual({ share: 0.5, count: 7, letter: '\nDear,\n  yours' });
    await close();
  });

  it('executes nothing that a description, a title of a test or a result holds', async () => {
    const { page, complaints, close } = await openPage(browser);
    await page.goto(`${url}/docs`);
    const evil = form(page, 'evil');
    await evil.getByRole('button', { name: 'Run' }).click();
    await evil.locator('.state[data-state="done"]').waitFor();
    expect(await evil.locator('.answer').textContent()).toContain('onerror');
    expect(await page.locator('#task\\.evil img, #task\\.evil script').count()).toBe(0);
    expect(await page.title()).toContain(project.name);
    expect(complaints).toEqual([]);
    await close();
  });

  it('is behind the token, which a browser asks for as a password and the forms for in a field', async () => {
    const token = 'c4n4ry';
    const guarded = project.start([bin, 'serve', '--docs', '--port', '0'], { SVC_COMM_HTTP_TOKEN: token });
    const [at = ''] = /https?:\/\/[^ "]+/.exec(await guarded.line('listening on')) ?? [];
    const { page, close } = await openPage(browser, { httpCredentials: { username: 'me', password: token } });
    await page.goto(at);
    const addition = form(page, 'addition');
    await addition.getByLabel('x', { exact: false }).first().fill('3');
    await addition.getByRole('button', { name: 'Run' }).click();
    await addition.locator('.state[data-state="failed"]').waitFor();
    expect(await addition.getByRole('status').textContent()).toBe('401 Unauthorized');
    await page.getByLabel('Token').fill(token);
    await addition.getByRole('button', { name: 'Run' }).click();
    await addition.locator('.state[data-state="done"]').waitFor();
    expect(await addition.locator('.answer').textContent()).toContain('"result": 4');
    await close();
    expect(await guarded.stop()).toBe(0);
  });

  it('works by keyboard alone', async () => {
    const { page, close } = await openPage(browser);
    await page.goto(`${url}/docs#process.hello-world`);
    await form(page, 'HelloWorld').getByLabel('foo').focus();
    await page.keyboard.type('Keys');
    for (const key of ['Tab', 'Tab', 'Enter']) await page.keyboard.press(key);
    await form(page, 'HelloWorld').locator('.state[data-state="done"]').waitFor();
    await page.reload();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('To the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('content');
    await close();
  });

  it.each(['light', 'dark'] as const)('fits 360 px and has contrast enough for everybody, %s', async (colorScheme) => {
    const { page, close } = await openPage(browser, { viewport: { width: 360, height: 740 }, colorScheme });
    await page.goto(`${url}/docs`);
    await page.evaluate(`for (const one of document.querySelectorAll('details')) one.open = true`);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    expect(await poorContrast(page)).toEqual([]);
    await takeScreenshot(page, `docs-small-${colorScheme}`);
    await close();
  });

  it('can be read without JavaScript', async () => {
    const { page, complaints, close } = await openPage(browser, { javaScriptEnabled: false });
    await page.goto(`${url}/docs`);
    expect(await page.locator('#task\\.addition').textContent()).toContain('adds two whole numbers');
    expect(await page.locator('form:visible').count()).toBe(0);
    await page.locator('#task\\.addition').getByText('Request', { exact: true }).first().click();
    expect(await page.locator('#task\\.addition').getByText('curl').isVisible()).toBe(true);
    expect(complaints).toEqual([]);
    await close();
  });

  it('is a folder of files that need no server, by svc-comm docs build', async () => {
    const { SVC_COMM_BROKER_URL: _, SVC_COMM_DATABASE_URL: __, ...nothing } = project.environment;
    const built = await project.run([bin, 'docs', 'build', 'site', '--json'], {
      ...nothing,
      SVC_COMM_BROKER_URL: 'amqp://guest:guest@127.0.0.1:1',
      SVC_COMM_DATABASE_URL: 'postgres://127.0.0.1:1/none',
    });
    expect([built.code, built.stderr]).toEqual([0, '']);
    const refused = await project.run([bin, 'docs', 'build', 'package.json'], nothing);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('"package.json" cannot be a folder')]);
    const files = ['asyncapi.json', 'index.html', 'openapi.json', 'page.css', 'page.js'];
    expect(readdirSync(join(project.root, 'site')).sort()).toEqual(files);
    const { page, requests, complaints, close } = await openPage(browser);
    const folder = pathToFileURL(join(project.root, 'site')).href;
    await page.goto(`${folder}/index.html`);
    expect(await page.locator('#process\\.hello-world').textContent()).toContain('Who is greeted');
    expect(await page.locator('form').count()).toBe(0);
    expect(await page.evaluate(`getComputedStyle(document.querySelector('.item')).borderTopStyle`)).toBe('solid');
    expect(requests.filter((asked) => !asked.startsWith(`${folder}/`) && asked !== 'data:,')).toEqual([]);
    expect(complaints).toEqual([]);
    await close();
  });
});
