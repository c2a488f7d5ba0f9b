import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createService } from '../../src/assemble.ts';
import { knexTransactions } from '../../src/database/transactions.ts';
import { SettingsError } from '../../src/errors.ts';
import { findConfigFile, type LoadOptions, loadSettings } from '../../src/settings/load.ts';

const base = realpathSync(mkdtempSync(join(tmpdir(), 'svc-comm-load-')));
afterAll(() => rmSync(base, { recursive: true }));

let projects = 0;
/** A project folder with these files. */
function project(files: Record<string, string>): string {
  projects += 1;
  const root = join(base, `p${projects}`);
  const all = { 'package.json': '{ "name": "orders", "type": "module" }', ...files };
  for (const [name, content] of Object.entries(all)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

const load = (cwd: string, options: LoadOptions = {}) => loadSettings({ cwd, environment: {}, ...options });

async function problemsOf(cwd: string, options: LoadOptions = {}) {
  const error = await load(cwd, options).catch((thrown: unknown) => thrown);
  if (error instanceof SettingsError) return error.problems;
  throw error;
}

describe('the settings file', () => {
  it.each([
    ['svc-comm.config.ts', 'const prefetch: number = 7;\nexport default { prefetch };'],
    ['svc-comm.config.mts', 'export default { prefetch: 7 as const };'],
    ['svc-comm.config.js', 'export default { prefetch: 7 };'],
    ['svc-comm.config.mjs', 'export default { prefetch: 7 };'],
    ['svc-comm.config.json', '{ "prefetch": 7 }'],
  ])('is loaded as %s', async (name, content) => {
    const root = project({ [name]: content });
    expect(await load(root)).toMatchObject({ appId: 'orders', prefetch: 7, root });
  });

  it('is found from a folder below, up to the one with package.json and no further', () => {
    const root = project({
      'svc-comm.config.json': '{}',
      'src/deep/a.txt': '',
      'inner/package.json': '{}',
      'inner/src/a.txt': '',
    });
    expect(findConfigFile(join(root, 'src/deep'))).toBe(join(root, 'svc-comm.config.json'));
    expect(findConfigFile(join(root, 'inner/src'))).toBeUndefined();
  });

  it('in a form that is not read is an error, not the defaults; beside one that is read it does not count', async () => {
    for (const name of ['svc-comm.config.cjs', 'svc-comm.config.cts', 'svc-comm.config.yaml', 'svc-comm.config.toml']) {
      const root = project({ [name]: '', 'src/a.txt': '' });
      expect(await problemsOf(join(root, 'src'))).toMatchObject([
        { setting: 'settings file', expected: expect.stringContaining('svc-comm.config.ts'), got: join(root, name) },
      ]);
      writeFileSync(join(root, 'svc-comm.config.json'), '{ "prefetch": 7 }');
      expect(await load(root)).toMatchObject({ prefetch: 7 });
    }
    expect(await load(project({ 'svc-comm.config.ts.bak': '', 'svc-comm.config.example': '' }))).toMatchObject({
      prefetch: 100,
    });
  });

  it('and package.json may begin with a byte order mark, as editors on Windows write it', async () => {
    const marked = { 'package.json': '\uFEFF{ "name": "marked" }', 'svc-comm.config.json': '\uFEFF{ "prefetch": 7 }' };
    expect(await load(project(marked))).toMatchObject({ appId: 'marked', prefetch: 7 });
  });

  it('may be left out: the defaults hold, and errors say that there is none', async () => {
    const root = project({});
    expect(await load(root)).toMatchObject({ appId: 'orders', prefetch: 100, root });
    const nameless = project({ 'package.json': '{}' });
    expect(await problemsOf(nameless)).toMatchObject([
      { setting: 'appId', from: expect.stringContaining('no settings file in') },
    ]);
  });

  it('may be named by option or by SVC_COMM_CONFIG; globs stay relative to the project', async () => {
    const root = project({ 'config/a.json': '{ "prefetch": 8 }', 'b.json': '{ "prefetch": 9 }' });
    const environment = { SVC_COMM_CONFIG: 'b.json' };
    expect(await load(root, { configFile: 'config/a.json', environment })).toMatchObject({ prefetch: 8, root });
    expect(await load(root, { environment })).toMatchObject({ prefetch: 9 });
  });

  it('gives way to variables, and they to options', async () => {
    const root = project({ 'svc-comm.config.json': '{ "prefetch": 7, "wait": true, "concurrency": 2 }' });
    const settings = await load(root, {
      environment: { SVC_COMM_PREFETCH: '8', SVC_COMM_WAIT: 'true' },
      options: [{ path: ['wait'], value: false, from: '--no-wait' }],
    });
    expect(settings).toMatchObject({ prefetch: 8, wait: false, concurrency: 2 });
  });

  it('makes a service as the commands have it, variables over the file', async () => {
    const root = project({ 'svc-comm.config.json': '{ "prefetch": 7, "concurrency": 3 }' });
    const service = createService(await load(root, { environment: { SVC_COMM_PREFETCH: '9' } }));
    expect(service.settings).toMatchObject({ appId: 'orders', prefetch: 9, concurrency: 3, root });
    await service.close();
  });

  it('gives way to overrides, which win over all and leave the rest of a group as it is', async () => {
    const root = project({
      'svc-comm.config.json':
        '{ "prefetch": 7, "queue": { "name": "a", "type": "classic" }, "retry": { "attempts": 2 } }',
    });
    const settings = await load(root, {
      environment: { SVC_COMM_PREFETCH: '8', SVC_COMM_RETRY_IN_PLACE: '3s' },
      overrides: { prefetch: 9, queue: 'b', retry: { attempts: 4, inPlace: undefined }, concurrency: undefined },
    });
    expect(settings).toMatchObject({
      prefetch: 9,
      queue: { name: 'b', type: 'classic' },
      retry: { attempts: 4, inPlaceMs: 3000 },
    });
    const named = await load(root, { overrides: { queue: { name: undefined } } });
    expect(named.queue).toMatchObject({ name: 'a', type: 'classic' });
    expect(await problemsOf(root, { overrides: { retry: { attempts: -1 } } })).toMatchObject([
      { setting: 'retry.attempts', from: "loadSettings' overrides" },
    ]);
  });

  it('gives way to an override that is an object and no group, whatever it has itself', async () => {
    const root = project({
      'svc-comm.config.mjs': `export default { databaseUrl: 'postgres://h/d', transactions: (work) => work({}) };`,
    });
    const transactions = knexTransactions();
    expect((await load(root, { overrides: { transactions } })).transactions).toBe(transactions);
  });

  it('is not to be copied into settings of another form: the error tells of the overrides', async () => {
    const root = project({});
    const copy = { ...(await load(root)), prefetch: 9 };
    expect(() => createService(copy as never)).toThrow(/a copy of what loadSettings gave.*from code/);
    expect(() => createService(copy as never)).toThrow(/loadSettings\(\{ overrides: \{ … \} \}\)/);
  });

  it('is named with every wrong value in it', async () => {
    const root = project({ 'svc-comm.config.json': '{ "prefetch": "x" }' });
    expect(await problemsOf(root)).toMatchObject([{ setting: 'prefetch', from: 'svc-comm.config.json' }]);
  });

  it.each([
    ['does not exist', {}, 'gone.json', { expected: 'an existing file', from: '--config' }],
    ['is no JSON', { 'a.json': '{ "a": ' }, 'a.json', { expected: 'a file that loads', from: 'a.json' }],
    ['throws', { 'a.mjs': 'throw new Error("no amqp://u:c4n4ry@host")' }, 'a.mjs', { got: 'no amqp://***@host' }],
    ['does not parse', { 'a.mjs': 'export default {' }, 'a.mjs', { expected: 'a file that loads' }],
    [
      'exports nothing',
      { 'a.mjs': 'export const a = 1' },
      'a.mjs',
      { expected: 'a default export, defineConfig({ … })', got: 'nothing' },
    ],
    ['exports a function', { 'a.mjs': 'export default () => ({})' }, 'a.mjs', { got: 'a function' }],
  ] as const)('that %s is a settings error', async (_, files, configFile, problem) => {
    const root = project(files);
    expect(await problemsOf(root, { configFile })).toMatchObject([{ setting: 'settings file', ...problem }]);
  });
});
