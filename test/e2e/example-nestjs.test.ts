import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CliProject, type Running, repository } from '../support/cli-project.ts';

const folder = 'examples/08-nestjs';
const sources = ['main.ts', 'messaging.ts', 'order-consumers.ts', 'order.ts', 'orders.ts'].map((file) => `src/${file}`);
const files = ['svc-comm.config.ts', 'tsconfig.json', ...sources].map((file) => `${folder}/${file}`);

/** A copy, so that what the embedded servers keep is not left in the repository. */
const project = new CliProject(
  Object.fromEntries(files.map((file) => [file, readFileSync(join(repository, file), 'utf8')])),
);
for (const name of ['@nestjs', 'reflect-metadata', 'typeorm', 'pg']) project.link(name);
const tsx = join(repository, 'node_modules/tsx/dist/cli.mjs');
const environment = {
  SVC_COMM_CONFIG: `${folder}/svc-comm.config.ts`,
  SVC_COMM_BROKER_URL: 'embedded:',
  SVC_COMM_DATABASE_URL: 'embedded:',
  NO_COLOR: '1',
  PORT: '0',
};
let app: Running;
let base: string;

beforeAll(async () => {
  app = project.start([tsx, '--tsconfig', `${folder}/tsconfig.json`, `${folder}/src/main.ts`], environment);
  base = (await app.line('listening on')).replace('listening on ', '');
});
afterAll(async () => {
  await app?.stop();
  rmSync(join(project.root, '.svc-comm'), { recursive: true, force: true });
  await project.remove();
});

async function order(sku: string, correlationId: string) {
  const response = await fetch(`${base}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-correlation-id': correlationId },
    body: JSON.stringify({ sku }),
  });
  return { status: response.status, body: (await response.json()) as { id: number; sku: string } };
}

it('in a NestJS application, an event of a TypeORM transaction reaches an injected consumer with the correlation of the request, or nothing happened', async () => {
  const placed = await order('book', 'first');
  expect(placed).toEqual({ status: 201, body: { sku: 'book', id: expect.any(Number) } });
  await app.line(`shipping order ${placed.body.id}: book, for first`);
  expect((await order('sold-out', 'second')).status).toBe(500);
  const last = await order('pen', 'third');
  await app.line(`shipping order ${last.body.id}: pen, for third`);
  expect(app.lines.filter((line) => line.includes('shipping order'))).toHaveLength(2);
});

it('SIGTERM ends it by its hooks: what was handled is not handled again by the next process', async () => {
  await app.stop();
  expect(app.lines.filter((line) => /"level":(40|50|60)/.test(line))).toEqual([]);
  app = project.start([tsx, '--tsconfig', `${folder}/tsconfig.json`, `${folder}/src/main.ts`], environment);
  base = (await app.line('listening on')).replace('listening on ', '');
  const { body } = await order('cup', 'fourth');
  await app.line(`shipping order ${body.id}: cup, for fourth`);
  expect(app.lines.filter((line) => line.includes('shipping order'))).toHaveLength(1);
});
