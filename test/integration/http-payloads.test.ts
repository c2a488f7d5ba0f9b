import { v7 as uuidv7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import { functionServer } from '../../src/http/function-server/function-server.ts';
import { arg } from '../../src/task/argument.ts';
import { task } from '../../src/task/definition.ts';
import { openBrowser, whyNoBrowser } from '../support/browser.ts';
import { json, startServer, type TestServer } from '../support/fastify-kit.ts';
import { TaskKit } from '../support/task-kit.ts';

const skipReason = await whyNoBrowser();

const FIRED = 'svcCommFired';
const ACTS = [
  `${FIRED}(1)`,
  `window.${FIRED}(1)`,
  `top['${FIRED}'](1)`,
  `setTimeout('${FIRED}(1)')`,
  `self[atob('${btoa(FIRED)}')](1)`,
];
/** What makes a page run something, if it is taken for one. */
const FORMS: readonly ((act: string) => string)[] = [
  (act) => `<script>${act}</script>`,
  (act) => `<ScRiPt>${act}</sCrIpT>`,
  (act) => `<img src=x onerror="${act}">`,
  (act) => `<svg onload="${act}">`,
  (act) => `<svg><script>${act}</script></svg>`,
  (act) => `<body onload="${act}">`,
  (act) => `<iframe srcdoc="<script>parent.${act}</script>">`,
  (act) => `<iframe src="javascript:parent.${act}">`,
  (act) => `<details open ontoggle="${act}">`,
  (act) => `<video><source onerror="${act}">`,
  (act) => `<input autofocus onfocus="${act}">`,
  (act) => `<math><mtext><script>${act}</script></mtext></math>`,
  (act) => `<object data="data:text/html,<script>${act}</script>">`,
  (act) => `<meta http-equiv="refresh" content="0;url=javascript:${act}">`,
  (act) => `<style>@import 'javascript:${act}';</style>`,
  (act) => `<link rel=stylesheet href="javascript:${act}">`,
  (act) => `<!doctype html><html><body><script>${act}</script>`,
  (act) => `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>${act}</script></html>`,
  (act) => `\ufeff<html><script>${act}</script>`,
  (act) => `%PDF-1.4\n<script>${act}</script>`,
];
const WRAPS: readonly ((form: string) => string)[] = [
  (form) => form,
  (form) => `"'></title></textarea></script>${form}`,
  (form) => `*/--></style></noscript>${form}`,
  (form) => `"}],"x":${form}`,
  (form) => `\r\n\r\n${form}`,
];
const PAYLOADS = ACTS.flatMap((act) => FORMS.flatMap((form) => WRAPS.map((wrap) => wrap(form(act)))));

let kit: TaskKit;
let server: TestServer;
let ids: readonly { readonly success: string; readonly failure: string }[];

beforeAll(async () => {
  kit = await TaskKit.create();
  const echo = task({ name: 'echo', args: { n: arg.integer() } }, ({ n }) => n);
  kit.registry.add(echo);
  PAYLOADS.forEach((payload, n) => {
    const args = { n: arg.integer(payload) };
    kit.registry.add(task({ name: `f${n}`, description: payload, args }, () => undefined));
  });
  const tasks = await kit.tasks();
  ids = PAYLOADS.map(() => ({ success: uuidv7(), failure: uuidv7() }));
  // Ends as a worker writes them.
  const rows = PAYLOADS.flatMap((payload, n) => [
    [ids[n]?.success, 'SUCCESS', JSON.stringify(payload), null],
    [ids[n]?.failure, 'FAILURE', null, JSON.stringify({ name: 'Error', message: payload })],
  ]);
  await kit.db.pg.query(
    `INSERT INTO ${kit.db.table('svc_comm_task')} (id, name, args, state, result, error, queue, result_ttl_ms)
     SELECT id, 'echo', '{}', state, result, error, 'q', 1000
       FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS r(id, state, result, error)`,
    [0, 1, 2, 3].map((column) => rows.map((row) => row[column])),
  );
  server = await startServer(
    async (app) => {
      await app.register(functionServer, { tasks, prefix: '/fn' });
      const resource = asyncResource('echo', { getList: (request) => echo.startFrom({ n: request.query.n }) });
      await app.register(resource, { tasks, prefix: '/api' });
    },
    { guard: { rateLimit: 0 } },
  );
});
afterAll(async () => {
  await server.stop();
  await kit.close();
});

/** Each way on which what others have written comes back. */
const paths = (n: number): string[] => {
  const { success, failure } = ids[n] as { success: string; failure: string };
  const name = encodeURIComponent(PAYLOADS[n] ?? '').slice(0, 300);
  return [
    `/fn/task/info/${success}`,
    `/fn/task/result/${success}`,
    `/fn/task/result/${failure}`,
    `/fn/function/definition/f${n}`,
    `/fn/function/definition/${name}`,
    `/fn/task/info/${name}`,
    `/fn/${name}`,
    `/api/echo/result/${success}/`,
    `/api/echo/result/${failure}/`,
    `/api/echo/state/${failure}/`,
    `/api/echo/?n=${name}`,
  ];
};
const LISTS = ['/fn/', '/fn/function/list/data', '/fn/function/list/text', '/fn/task/list/echo?limit=1000'];

describe(`${PAYLOADS.length} payloads in results, errors, descriptions, names and arguments`, () => {
  it('come back as text or JSON that no browser takes for a page', async () => {
    expect(PAYLOADS.length).toBe(500);
    // Each payload on every third way, so that each way has them all but for their wrapping.
    const looked = [...LISTS, ...PAYLOADS.flatMap((_, n) => paths(n).filter((_path, way) => way % 3 === n % 3))];
    const odd: unknown[] = [];
    const check = (what: string, { headers, status }: { headers: Headers; status: number }) => {
      const type = headers.get('content-type') ?? '';
      const isPlain = /^(application\/(problem\+)?json|text\/plain)(; charset=utf-8)?$/.test(type);
      const isSafe = headers.get('x-content-type-options') === 'nosniff';
      const policy = headers.get('content-security-policy') ?? '';
      if (!isPlain || !isSafe || !policy.startsWith("default-src 'none'") || status >= 500)
        odd.push([what, status, type]);
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let path = looked.pop(); path !== undefined; path = looked.pop()) check(path, await server.request(path));
      }),
    );
    for (const payload of PAYLOADS) {
      check(`POST ${payload}`, await server.request('/fn/echo', json({ n: payload, [payload]: 1 })));
    }
    expect(odd).toEqual([]);
  }, 300_000);

  it.skipIf(skipReason !== undefined)(
    'run nothing in a browser that opens the answers',
    async () => {
      const browser = await openBrowser();
      const page = await browser.newPage();
      let fired = 0;
      await page.exposeFunction(FIRED, () => {
        fired += 1;
      });
      // The measurement itself: a page that is one runs it.
      await page.setContent(`<script>${FIRED}(1)</script>`);
      await expect.poll(() => fired).toBe(1);
      fired = 0;
      const opened = [...LISTS, ...PAYLOADS.flatMap((_, n) => (n % 25 === 0 ? paths(n) : []))];
      for (const path of opened) {
        await page.goto(server.url + path, { waitUntil: 'load' }).catch((error: unknown) => {
          // A text that begins as a PDF may become a download.
          if (!String(error).includes('ERR_ABORTED')) throw error;
        });
      }
      await page.goto('about:blank');
      await browser.close();
      console.log(JSON.stringify({ payloads: PAYLOADS.length, answersOpened: opened.length, executed: fired }));
      expect(fired).toBe(0);
    },
    300_000,
  );
});
