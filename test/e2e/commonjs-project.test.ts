import { afterAll, describe, expect, it } from 'vitest';
import { CliProject } from '../support/cli-project.ts';

const projects: CliProject[] = [];
afterAll(() => Promise.all(projects.map((project) => project.remove())));

function commonJsProject(main: string): CliProject {
  const project = new CliProject({ 'package.json': JSON.stringify({ name: 'orders' }), 'src/main.ts': main });
  project.link('tsx');
  projects.push(project);
  return project;
}

/** The hooks of `import` and `require`, the command, and the hooks of `require` alone. */
const THROUGH = ['--import=tsx', 'node_modules/tsx/dist/cli.mjs', '--require=tsx/cjs'];

/** Nothing listens there: what works is on the test's own servers. */
const NO_SERVERS = {
  SVC_COMM_BROKER_URL: 'amqp://127.0.0.1:1',
  SVC_COMM_DATABASE_URL: 'postgres://127.0.0.1:1/none',
  SVC_COMM_WAIT: 'false',
};

describe('in a CommonJS project under tsx', () => {
  it('a task that is started joins the transaction, and goes to the test service', async () => {
    const project = commonJsProject(`
      import { close, DatabaseUnavailableError, transaction } from 'svc-comm';
      import { TaskNotFoundError, task } from 'svc-comm/task';
      import { testService } from 'svc-comm/testing';

      const one = task({ name: 'one' }, () => 1);

      async function main() {
        const t = await testService();
        const kept = await one.start({});
        let undone = kept.id;
        const failed = await transaction(async () => {
          undone = (await one.start({})).id;
          throw new Error('rolled back');
        }).catch((error) => error.message);
        const tasks = await t.service.tasks();
        const ids = (await tasks.list()).map(({ id }) => id);
        const isTyped = await tasks.record(undone).catch((error) => error instanceof TaskNotFoundError);
        await t.stop();
        // The service of the settings, which nobody answers; it is closed, and the process ends by itself.
        const unreachable = await one.start({}).catch((error) => error instanceof DatabaseUnavailableError);
        await close();
        console.log(JSON.stringify({ failed, isKept: ids.join() === kept.id, isTyped, unreachable }));
      }
      void main();
    `);
    const { code, stdout, stderr } = await project.run(['--import', 'tsx', 'src/main.ts'], NO_SERVERS);
    expect(stderr).toBe('');
    const [answer = ''] = stdout.split('\n').filter((line) => line.startsWith('{"failed"'));
    expect(JSON.parse(answer)).toEqual({ failed: 'rolled back', isKept: true, isTyped: true, unreachable: true });
    expect(code).toBe(0);
  });

  it.each(THROUGH)('what is required and what is imported is one package: %s', async (through) => {
    const doors = ['', '/http', '/task', '/process', '/rest-api', '/rest-api/formatter', '/testing', '/vitest'];
    const project = commonJsProject(`
      ${doors.map((door, index) => `import * as required${index} from 'svc-comm${door}';`).join('\n')}
      async function main() {
        const pairs = [${doors.map((door, index) => `[required${index}, await import('svc-comm${door}')]`).join()}];
        const isOne = pairs.map(([required, imported]) => {
          const names = Object.keys(imported as object);
          return names.length > 0 && names.every((name) => (required as any)[name] === (imported as any)[name]);
        });
        console.log(JSON.stringify(isOne));
      }
      void main();
    `);
    const { stdout } = await project.run([through, 'src/main.ts']);
    expect(JSON.parse(stdout)).toEqual(doors.map(() => true));
  });
});
