import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bin, CliProject, type Running, repository } from '../support/cli-project.ts';
import { until } from '../support/consumer-kit.ts';

const folder = 'examples/01-events';
const tsx = join(repository, 'node_modules/tsx/dist/cli.mjs');
const read = (file: string) => readFileSync(join(repository, folder, file), 'utf8');

/** A copy, so that what the embedded servers keep is not left in the repository. */
const project = new CliProject(
  Object.fromEntries(
    ['svc-comm.config.ts', 'src/consumers.ts', 'src/main.ts', 'test/orders.test.ts'].map((file) => [
      `${folder}/${file}`,
      read(file),
    ]),
  ),
);
const environment = {
  SVC_COMM_CONFIG: `${folder}/svc-comm.config.ts`,
  SVC_COMM_BROKER_URL: 'embedded:',
  SVC_COMM_DATABASE_URL: 'embedded:',
  SVC_COMM_RETRY: '{"attempts":3,"delays":["300ms"]}',
};
let consumer: Running;
let publisher: Running;

beforeAll(async () => {
  consumer = project.start([bin, 'runconsumer'], { ...environment, SVC_COMM_LOG_LEVEL: 'info' });
  await consumer.line('consuming from queue');
  publisher = project.start([bin, 'runpublisher'], { ...environment, SVC_COMM_LOG_LEVEL: 'info' });
  await publisher.line('publishing from the outbox');
});
afterAll(async () => {
  await publisher?.stop();
  await consumer?.stop();
  rmSync(join(project.root, '.svc-comm'), { recursive: true, force: true });
  await project.remove();
});

it('examples/01-events, run against the built package, prints what stands in its expected files', async () => {
  const { code, stdout, stderr } = await project.run([tsx, `${folder}/src/main.ts`], environment);
  expect({ stdout, stderr }).toEqual({ stdout: read('expected.txt'), stderr: '' });
  expect(code).toBe(0);
  const wanted = read('expected-consumer.txt').trim().split('\n');
  const printed = () => consumer.lines.filter((line) => /^(order|invoice) /.test(line)).sort();
  await until(() => printed().length >= wanted.length, 30_000);
  expect(printed()).toEqual(wanted);
  const { stdout: letters } = await project.run([bin, 'dlq', 'show', '--json'], environment);
  expect(letters).toContain('order 4 has a negative total');
});

it('its own test passes under node:test, without a server', async () => {
  const { code, stdout } = await project.run([tsx, '--test', `${folder}/test/orders.test.ts`]);
  expect(stdout).toMatch(/# pass 4\n# fail 0/);
  expect(code).toBe(0);
});
