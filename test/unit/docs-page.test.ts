import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { documentationPage } from '../../src/documentation/page/page.ts';
import { type DocsOptions, docs } from '../../src/http/docs/docs.ts';
import { staticDocs } from '../../src/http/docs/static-docs.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import type { GuardOptions } from '../../src/http/guard/options.ts';
import { processApi } from '../../src/http/process-api/process-api.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { callable, event } from '../../src/message/contract.ts';
import { defineProcess } from '../../src/process/definition.ts';
import type { Processes } from '../../src/process/processes.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { arg } from '../../src/task/argument.ts';
import { task } from '../../src/task/definition.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { Tasks } from '../../src/task/tasks.ts';
import { startServer, type TestServer } from '../support/fastify-kit.ts';

const nothing = () => undefined;
const running: TestServer[] = [];
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

/** Registries of one test, and a server whose documentation is of them. Nothing is connected to. */
async function documented({ guard = {}, ...options }: { guard?: GuardOptions } & DocsOptions = {}) {
  const registry = new TaskRegistry();
  const processes = new ProcessRegistry();
  const messageRouter = new MessageRouter();
  const tasks = new Tasks({
    registry,
    connect: () => Promise.reject(new Error('not to be asked for')),
    transactions: undefined as never,
    schema: 'public',
    queue: 'none',
    logger: silentLogger,
  });
  const parts = { title: 'orders', version: '1.2.3', tasks: registry, processes, messageRouter };
  const server = await startServer(
    async (app) => {
      await app.register(functionServer, { tasks, prefix: '/fn' });
      await app.register(processApi, { processes: { registry: processes } as Processes, prefix: '/p' });
      await app.register(docs, { ...parts, ...options });
    },
    { guard },
  );
  running.push(server);
  return { server, registry, processes, messageRouter, parts, page: async () => (await server.request('/docs')).text };
}

const hello = () =>
  defineProcess({
    id: 'hello-world',
    meta: {
      name: 'HelloWorld',
      description: 'Greets somebody',
      tags: ['greeting'],
      fields: [{ name: 'foo', description: 'Who', type: 'char', required: true }],
    },
    validations: [['requiredFields', ['foo']]],
    tasksSync: [],
    tasksAsync: [],
  });

describe('the page /docs', () => {
  test('has processes, tasks and messages, each with what it takes, and links to the documents', async () => {
    const { registry, processes, messageRouter, page } = await documented();
    registry.add(task({ name: 'addition', description: 'Adds', args: { x: arg.integer('The first') } }, nothing));
    processes.add(hello());
    const updated = event('page_user', 'updated', z.object({ userId: z.int() }), { description: 'A user was changed' });
    messageRouter.consumer(updated)(async function onUser() {});
    callable('page_pricing', 'quote', { input: z.string(), output: z.number() });
    const text = await page();
    for (const part of [
      'orders',
      '1.2.3',
      'HelloWorld',
      'Greets somebody',
      'requiredFields',
      'Lets time pass.',
      'The first',
      'onUser',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toContain('A user was changed');
    expect(text).toContain('&quot;userId&quot;: 1');
    expect(text).toContain('page_pricing · quote');
    expect(text).toContain('data-url="/fn/addition" data-state-url="/fn/task/info"');
    expect(text).toContain('data-url="/p/hello-world" data-state-url="/p/hello-world"');
    for (const link of ['/openapi.json', '/asyncapi.json', '/docs/api']) expect(text).toContain(`href="${link}"`);
  });

  test('has what is registered later without another line, and so have both documents', async () => {
    const { server, registry, processes, messageRouter, page } = await documented();
    const all = async () => [
      await page(),
      (await server.request('/openapi.json')).text,
      (await server.request('/asyncapi.json')).text,
    ];
    for (const text of await all()) expect(text).not.toMatch(/later_task|hello-world|later_event/);
    registry.add(task({ name: 'later_task' }, nothing));
    processes.add(hello());
    messageRouter.consumer(event('later_event', 'made', z.string()))(nothing);
    const [shown = '', openApi = '', asyncApi = ''] = await all();
    for (const name of ['later_task', 'hello-world', 'later_event']) expect(shown).toContain(name);
    for (const name of ['later_task', 'hello-world']) expect(openApi).toContain(name);
    expect(asyncApi).toContain('later_event');
  });

  test('takes nothing from another server, and has no script but its own file', async () => {
    const { server } = await documented();
    const { headers, text } = await server.request('/docs/');
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
    expect(policy).not.toMatch(/unsafe|https?:/);
    expect([...text.matchAll(/<script[^>]*>/g)].map(([tag]) => tag)).toEqual(['<script src="/docs/page.js" defer>']);
    expect(text).not.toMatch(/ style=| on\w+=/);
    for (const [file, type] of [
      ['page.js', 'text/javascript'],
      ['page.css', 'text/css'],
    ]) {
      const asset = await server.request(`/docs/${file}`);
      expect([asset.status, asset.headers.get('content-type')]).toEqual([200, `${type}; charset=utf-8`]);
      expect(asset.text).not.toMatch(/https?:\/\//);
    }
  });

  test('shows in each empty field what could be written there, and a default as its value', async () => {
    const { registry, page } = await documented();
    const args = z.object({
      free: z.string(),
      count: z.int().min(5),
      inner: z.object({ n: z.number() }),
      given: z.string().default('mine'),
    });
    registry.add(task({ name: 'fields', args }, nothing));
    const fields = [...(await page()).matchAll(/data-name="(\w+)"[^>]* placeholder="([^"]*)"(?: value="([^"]*)")?/g)];
    const shown = fields.map(([, name, placeholder, value]) => [name, placeholder, value]);
    expect(shown).toEqual([
      ['free', 'text', ''],
      ['count', '5', ''],
      ['inner', '{&quot;n&quot;:1}', undefined],
      ['given', 'text', 'mine'],
    ]);
  });

  test('asks for the token only where one is needed, and keeps it out of its text', async () => {
    expect(await (await documented()).page()).not.toContain('id="token"');
    const { server } = await documented({ guard: { token: 'c4n4ry' } });
    const page = await server.request('/docs', { headers: { authorization: 'Bearer c4n4ry' } });
    expect(page.text).toContain('id="token"');
    expect(page.text).not.toContain('c4n4ry');
  });

  test('shows names and descriptions as text, whatever they hold', async () => {
    const payloads = [
      '<script>alert(1)</script>',
      '"><img src=x onerror=alert(1)>',
      "'><svg onload=alert(1)>",
      '</textarea><script>alert(1)</script>',
      '</code></pre><iframe srcdoc="<script>alert(1)</script>">',
      '<a href="javascript:alert(1)">x</a>',
      '{{constructor.constructor("alert(1)")()}}',
      '<!--><script>alert(1)</script>-->',
      '&lt;script&gt;alert(1)&lt;/script&gt;',
      '\u2028<script>alert(1)</script>',
    ];
    const { registry, processes, messageRouter, page } = await documented({ description: payloads[0] });
    const plain = tagsOf(await page());
    for (const [n, payload] of payloads.entries()) {
      const schema = z.object({ [payload]: z.string().describe(payload).default(payload) }).describe(payload);
      registry.add(
        task(
          { name: `task${n}`, description: payload, args: { [payload]: arg.string(payload, { default: payload }) } },
          nothing,
        ),
      );
      registry.add(task({ name: `schema${n}`, description: payload, args: schema }, nothing));
      const fields = [
        { name: `f${n}`, description: payload, type: 'choice' as const, choices: [payload], required: true },
      ];
      processes.add(
        defineProcess({ id: `p${n}`, meta: { name: payload, description: payload, tags: [payload], fields } }),
      );
      messageRouter.consumer(event(`<x${n} onclick='a'>`, payload.replaceAll(/[*#]/g, ''), schema))(nothing);
    }
    const text = await page();
    const tags = tagsOf(text);
    for (const name of ['script', 'img', 'svg', 'iframe', 'link']) {
      expect([name, tags.filter((tag) => tag === name).length]).toEqual([
        name,
        plain.filter((tag) => tag === name).length,
      ]);
    }
    expect(tags.filter((tag) => tag.startsWith('x'))).toEqual([]);
    // Each attribute ends where it was meant to: nothing follows its quotes but a blank or the end of the tag.
    const wellMade = /^<[a-z][a-z0-9]*(\s+[a-z-]+(="[^"<>]*")?)*\s*>$/;
    const allTags = [...text.matchAll(/<[a-z][^>]*>/g)].map(([tag]) => tag);
    expect(
      allTags.filter(
        (tag) => !wellMade.test(tag) || /\s(on\w+|style)=|="javascript:/.test(tag.replaceAll(/="[^"]*"/g, '=""')),
      ),
    ).toEqual([]);
    expect(allTags.filter((tag) => /(href|src)="(?!#|\/|data:,)/.test(tag))).toEqual([]);
  });

  test('is readable without a script: only its forms are hidden then', async () => {
    const { registry, page } = await documented();
    registry.add(task({ name: 'addition', args: { x: arg.integer('The first') } }, nothing));
    const text = await page();
    const hidden = [...text.matchAll(/<(\w+)[^>]* hidden[ >]/g)].map(([, tag]) => tag);
    expect(hidden).toEqual(['label', 'form', 'div']);
    expect(text).toContain('curl -X POST');
  });

  test('has one first heading, no level left out, and a label for each field of a form', async () => {
    const { registry, processes, page } = await documented();
    const args = { b: arg.boolean(), l: arg.list(), s: arg.string(), n: arg.float() };
    registry.add(task({ name: 'every', args }, nothing), task({ name: 'whole', args: z.unknown() }, nothing));
    processes.add(hello());
    const text = await page();
    const levels = [...text.matchAll(/<h(\d)/g)].map(([, level]) => Number(level));
    expect(levels.filter((level) => level === 1)).toEqual([1]);
    levels.reduce((before, level) => {
      expect(level - before).toBeLessThan(2);
      return level;
    }, 0);
    const ids = [...text.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const labels = new Set([...text.matchAll(/<label for="([^"]*)"/g)].map(([, id]) => id));
    const controls = [...text.matchAll(/<(?:input|select|textarea) id="([^"]*)"/g)].map(([, id]) => id);
    expect(controls.length).toBe(6);
    expect(controls.filter((id) => !labels.has(id))).toEqual([]);
  });
});

describe('the documentation as files', () => {
  test('is the page without forms, and the documents, with links from one to the other', async () => {
    const { registry, processes, parts, server } = await documented();
    registry.add(task({ name: 'addition', args: { x: arg.integer() } }, nothing));
    processes.add(hello());
    const files = await staticDocs({ ...parts, isSecured: false });
    expect([...files.keys()].sort()).toEqual(['asyncapi.json', 'index.html', 'openapi.json', 'page.css', 'page.js']);
    const page = files.get('index.html') ?? '';
    expect(page).toContain('HelloWorld');
    expect(page).not.toMatch(/<form|id="token"/);
    for (const link of ['openapi.json', 'asyncapi.json', 'page.css', 'page.js']) expect(page).toContain(`"${link}"`);
    expect(JSON.parse(files.get('asyncapi.json') ?? '')).toEqual((await server.request('/asyncapi.json')).json);
    expect(Object.keys(JSON.parse(files.get('openapi.json') ?? '').paths)).toContain('/hello-world');
  });

  test('says so where there is nothing', () => {
    const messages = { consumed: [], sent: [] };
    const links = { openApi: undefined, asyncApi: 'a', reference: undefined, style: 's', script: undefined };
    const empty = {
      title: 't',
      version: '1',
      description: undefined,
      processes: [],
      tasks: [],
      steps: [],
      messages,
      links,
    };
    const text = documentationPage({ ...empty, tryOut: undefined });
    expect(text).toContain('No process is registered.');
    expect(text).toContain('No task is registered.');
    expect(text).not.toContain('Events');
  });
});

const tagsOf = (page: string): string[] => [...page.matchAll(/<([a-z][a-z0-9]*)/g)].map(([, tag]) => tag ?? '');
