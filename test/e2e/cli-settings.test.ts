import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bin, CliProject, CONSUMER, repository } from '../support/cli-project.ts';

const projects: CliProject[] = [];
afterAll(() => Promise.all(projects.map((project) => project.remove())));
function projectOf(files: Readonly<Record<string, string>>): CliProject {
  const project = new CliProject(files);
  projects.push(project);
  return project;
}

/** Puts another copy of the package where the project's folder `lib` imports from. */
function withCopy(root: string): void {
  const copy = join(root, 'lib/node_modules/svc-comm');
  for (const part of ['dist', 'package.json']) cpSync(join(repository, part), join(copy, part), { recursive: true });
  symlinkSync(join(repository, 'node_modules'), join(copy, 'node_modules'));
}

/** Nothing listens there: what works needs no server. */
const NO_SERVERS = { SVC_COMM_BROKER_URL: 'amqp://127.0.0.1:1', SVC_COMM_DATABASE_URL: 'postgres://127.0.0.1:1/none' };

const DIALECTS = [
  ['standard decorators in an ES module', 'module', false, []],
  ['legacy decorators in an ES module', 'module', true, []],
  ['standard decorators in a CommonJS project', 'commonjs', false, []],
  ['legacy decorators in a CommonJS project', 'commonjs', true, []],
  ['standard decorators in an ES module, run through tsx', 'module', false, ['--import', 'tsx']],
  ['standard decorators in a CommonJS project, run through tsx', 'commonjs', false, ['--import', 'tsx']],
  ['legacy decorators in a CommonJS project, run through tsx', 'commonjs', true, ['--import', 'tsx']],
] as const;

describe('a project', () => {
  it.each(DIALECTS)('in TypeScript is loaded with nothing to set up: %s', async (_, type, legacy, hooks) => {
    const project = projectOf({
      'package.json': JSON.stringify({ name: 'orders', type }),
      'tsconfig.json': JSON.stringify({ compilerOptions: { experimentalDecorators: legacy, strict: true } }),
      'svc-comm.config.ts': `import { defineConfig } from 'svc-comm';
        enum Unhandled { Dead = 'dead-letter' }
        export default defineConfig({ unhandled: Unhandled.Dead });`,
      'src/orders/consumers.ts': CONSUMER,
      'src/instances/consumers.ts': `import { eventConsumer, messageRouter } from 'svc-comm';
        import { name } from './helper';
        class Instances {
          private readonly name = name;
          @eventConsumer @messageRouter.consumer('EXCHANGE') async other(payload: unknown) { console.log(this.name, payload); }
        }
        messageRouter.register(new Instances());`,
      'src/instances/helper.ts': `export const name: string = 'helper';`,
    });
    project.link('tsx');
    const command = [...hooks, bin, 'explain'];
    const explained = await project.run([...command, project.exchange, 'create.base', '--json'], NO_SERVERS);
    expect(explained.stderr).toBe('');
    expect(JSON.parse(explained.stdout)).toMatchObject({
      handler: { name: 'OrderConsumers.onOrder', kind: 'event', file: 'src/orders/consumers.ts', pattern: 'create.*' },
      considered: [{ verdict: 'taken' }, { name: 'Instances.other', verdict: 'next' }],
      bound: true,
    });
    const elsewhere = { ...NO_SERVERS, SVC_COMM_BINDS: JSON.stringify([[project.exchange, 'update.*']]) };
    const unbound = await project.run([...command, project.exchange, 'create.base'], elsewhere);
    expect(unbound.stdout).toMatch(/→ OrderConsumers\.onOrder [\s\S]*\nqueue \S+ is not bound for it/);
    const other = await project.run([...command, 'elsewhere', 'x'], NO_SERVERS);
    expect(other.code).toBe(0);
    expect(other.stdout).toContain('it goes to the dead letters (unhandled: dead-letter)');
  });

  it('in TypeScript is loaded with --env-file of a folder that is called tsx-app', async () => {
    const project = projectOf({ 'tsx-app/.env': '', 'src/consumers.ts': CONSUMER });
    const envFile = `--env-file=${join(project.root, 'tsx-app/.env')}`;
    const explained = await project.run([envFile, bin, 'explain', project.exchange, 'create.base'], NO_SERVERS);
    expect(explained.stderr).toBe('');
    expect(explained.stdout).toContain('→ OrderConsumers.onOrder (src/consumers.ts)');
  });

  it('that is built is loaded from dist, without TypeScript', async () => {
    const project = projectOf({
      'src/consumers.ts': 'throw new Error("not to be loaded");',
      'dist/consumers.js': `import { messageRouter } from 'svc-comm';
        messageRouter.consumer('EXCHANGE')(async function built() {});`,
    });
    expect((await project.cli('explain', project.exchange, 'x')).stdout).toContain('→ built (dist/consumers.js)');
  });

  it('without consumers is wrong usage, and says where they were looked for', async () => {
    const project = projectOf({ 'src/other.ts': '' });
    const { code, stderr } = await project.cli('runconsumer');
    expect(code).toBe(2);
    expect(stderr).toContain('looked in src/**/consumers.{ts,js}');
  });

  it.each([
    ['whose consumers register nothing', 'export {};', 2, /register no consumer; looked in/],
    [
      'with a class that was never registered',
      `import { messageRouter } from 'svc-comm';
       export class Forgotten { @messageRouter.consumer('a', 'b') async handle() {} }`,
      2,
      /Forgotten\.handle \(src\/consumers\.ts\).*never registered/,
    ],
    [
      'with two consumers of one pattern',
      `import { messageRouter } from 'svc-comm';
       for (const _ of [1, 2]) messageRouter.consumer('a', 'b')(async () => {});`,
      2,
      /src\/consumers\.ts could not be loaded.*has two consumers/,
    ],
    [
      'with a function where the names stand',
      `import { messageRouter } from 'svc-comm';
       messageRouter.consumer('a', 'b', async () => {});`,
      2,
      /src\/consumers\.ts could not be loaded: .*messageRouter\.consumer\(exchange, pattern\)\(fn\)/,
    ],
    ['with a file that throws', 'throw new Error("no luck");', 1, /src\/consumers\.ts could not be loaded: no luck/],
    ['with a file that throws a text', 'throw "no luck";', 1, /src\/consumers\.ts could not be loaded: no luck/],
    ['with a file that throws an object', 'throw { luck: "none" };', 1, /could not be loaded: \{ luck: 'none' \}/],
    ['with a file that throws an error without a text', 'throw new TypeError();', 1, /could not be loaded: TypeError/],
    ['with a file that waits for what never comes', 'await new Promise(() => {});', 1, /could not be loaded: .*awaits/],
    ['with a file that does not parse', 'export const = 1;', 1, /src\/consumers\.ts could not be loaded/],
  ])('%s is refused before it starts', async (_, content, exitCode, message) => {
    const project = projectOf({ 'src/consumers.ts': content });
    const { code, stderr } = await project.run([bin, 'runconsumer'], NO_SERVERS);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(code).toBe(exitCode);
  });

  it('with consumers on another copy of the package, which this process does not run, is refused and says which', async () => {
    const project = projectOf({
      'src/consumers.ts': `import { messageRouter } from 'svc-comm';
        import '../lib/other.ts';
        messageRouter.consumer('EXCHANGE', 'own')(async function own() {});`,
      'lib/other.ts': `import { messageRouter } from 'svc-comm';
        messageRouter.consumer('EXCHANGE', 'other')(async function other() {});`,
    });
    withCopy(project.root);
    const { code, stderr } = await project.run([bin, 'runconsumer'], NO_SERVERS);
    expect(stderr).toMatch(
      /other \(lib\/other\.ts\): it is registered with another copy of svc-comm, \S*lib\/node_modules/,
    );
    expect(code).toBe(2);
  });

  it.each([
    ['a task', `export { other } from '../lib/other.ts';`, 'task "other"'],
    ['a task that is registered there', `import '../lib/registered.ts';`, 'task "other"'],
    ['a process', `export { renewal } from '../lib/other.ts';`, 'process "renewal"'],
  ])('a worker with %s of another copy of the package is refused and says which', async (_, content, what) => {
    const other = `import { task, taskRegistry } from 'svc-comm/task';
      import { defineProcess } from 'svc-comm/process';
      export const other = task({ name: 'other' }, () => 1);
      export const renewal = defineProcess({ id: 'renewal', tasksSync: [() => undefined] });`;
    const project = projectOf({
      'src/tasks.ts': `import { task } from 'svc-comm/task';
        ${content}
        export const own = task({ name: 'own' }, () => 1);`,
      'lib/other.ts': other,
      'lib/registered.ts': `${other} taskRegistry.add(other);`,
    });
    withCopy(project.root);
    const { code, stderr } = await project.run([bin, 'runworker'], NO_SERVERS);
    expect(stderr).toContain(`src/tasks.ts could not be loaded: ${what}: expected one of the svc-comm that runs`);
    expect(stderr).toMatch(/one of another copy, \S*lib\/node_modules/);
    expect(code).toBe(2);
  });

  it('with wrong settings is told of all of them at once, with exit code 2 and without the password', async () => {
    const project = projectOf({
      'svc-comm.config.mjs': `export default { prefetch: 0, brokerUrl: 'amq://guest:c4n4ry@host', retrys: {} };`,
      'src/consumers.ts': CONSUMER,
    });
    const environment = { SVC_COMM_BROKER_URL: undefined, SVC_COMM_CONCURRENCY: 'many' };
    const inWords = await project.run([bin, 'runconsumer'], environment);
    expect(inWords).toMatchObject({ code: 2, stdout: '' });
    expect(inWords.stderr).toMatch(
      /prefetch: expected a whole number from 1 to 65535, got 0 \(from svc-comm.config.mjs\)/,
    );
    expect(inWords.stderr).toMatch(/concurrency: .*got "many" \(from SVC_COMM_CONCURRENCY\)/);
    expect(inWords.stderr).toMatch(/retrys: .*did you mean retry\?/);
    const asJson = await project.run([bin, 'runconsumer', '--json', '--log-level', 'debug'], environment);
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      error: {
        code: 'SVC_COMM_SETTINGS',
        problems: expect.arrayContaining([expect.objectContaining({ setting: 'prefetch' })]),
      },
    });
    for (const { stdout, stderr } of [inWords, asJson]) expect(stdout + stderr).not.toContain('c4n4ry');
  });
});
