import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bin, CliProject, type Running, repository } from '../support/cli-project.ts';

const folder = 'examples/06-http';
const config = `${folder}/svc-comm.config.ts`;
const read = (file: string) => readFileSync(join(repository, folder, file), 'utf8');

/** A copy, so that what the embedded servers keep is not left in the repository. */
const project = new CliProject(
  Object.fromEntries(
    ['svc-comm.config.ts', 'src/tasks.ts', 'src/server.ts', 'src/client.ts'].map((file) => [
      `${folder}/${file}`,
      read(file),
    ]),
  ),
);
const embedded = {
  SVC_COMM_CONFIG: config,
  SVC_COMM_BROKER_URL: 'embedded:',
  SVC_COMM_DATABASE_URL: 'embedded:',
  SVC_COMM_LOG_LEVEL: 'info',
};
const tsx = join(repository, 'node_modules/tsx/dist/cli.mjs');
let server: Running;
let worker: Running;
let base: string;
let publisher: Running;

beforeAll(async () => {
  server = project.start([tsx, `${folder}/src/server.ts`], { ...embedded, PORT: '0' });
  base = (await server.line('listening on')).replace('listening on ', '');
  worker = project.start([bin, 'runworker'], embedded);
  await worker.line('taking tasks');
  publisher = project.start([bin, 'runpublisher'], embedded);
  await publisher.line('publishing from the outbox');
});
afterAll(async () => {
  await publisher?.stop();
  await worker?.stop();
  await server?.stop();
  rmSync(join(project.root, '.svc-comm'), { recursive: true, force: true });
  await project.remove();
});

it('examples/06-http, run against the built package, prints what stands in expected.txt, and ends', async () => {
  const { code, stdout, stderr } = await project.run([tsx, `${folder}/src/client.ts`], { BASE: base });
  expect({ stdout, stderr }).toEqual({ stdout: read('expected.txt'), stderr: '' });
  expect(code).toBe(0);
});
