import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bin, CliProject, repository } from '../support/cli-project.ts';

const read = (file: string) => readFileSync(join(repository, 'examples/07-processes', file), 'utf8');
const FILES = [
  'svc-comm.config.json',
  'client.js',
  'processes/hello-world.yml',
  'tasks/custom/sayHello.ts',
  'tasks/custom/memory.ts',
  'validations/custom/notShouted.ts',
];

/** A copy, so that what the embedded servers keep is not left in the repository. */
const project = new CliProject(Object.fromEntries(FILES.map((file) => [file, read(file)])));
const embedded = {
  SVC_COMM_BROKER_URL: 'embedded:',
  SVC_COMM_DATABASE_URL: 'embedded:',
  SVC_COMM_SCHEMA: 'public',
  SVC_COMM_LOG_LEVEL: 'info',
};
const start = (...args: string[]) => project.start([bin, ...args], embedded);
let base: string;
let server: ReturnType<typeof start>;
let others: ReturnType<typeof start>[] = [];

beforeAll(async () => {
  server = start('serve', '--port', '0');
  base = /http:\/\/127\.0\.0\.1:\d+/.exec(await server.line('listening on'))?.[0] ?? '';
  const [worker, publisher] = [start('runworker'), start('runpublisher')];
  others = [worker, publisher];
  await Promise.all([worker.line('taking tasks'), publisher.line('publishing from the outbox')]);
});
afterAll(async () => {
  for (const other of others) await other.stop();
  await server?.stop();
  rmSync(join(project.root, '.svc-comm'), { recursive: true, force: true });
  await project.remove();
});

it('examples/07-processes, run against the built package, prints what stands in expected.txt, and ends', async () => {
  const { code, stdout, stderr } = await project.run(['client.js'], { BASE: base });
  expect({ stdout, stderr }).toEqual({ stdout: read('expected.txt'), stderr: '' });
  expect(code).toBe(0);
  expect(readFileSync(join(project.root, 'data/greetings.csv'), 'utf8')).toBe(
    'to,text\nAda,"hello, Ada; hello, Ada"\n',
  );
});
