import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { repository } from '../support/cli-project.ts';
import { type BuiltImage, buildImage, startImage } from '../support/dockerfile.ts';
import { json, request } from '../support/fastify-kit.ts';
import { freePort } from '../support/servers/free-port.ts';
import { slowness } from '../support/slowness.ts';

let root: string;
let image: BuiltImage;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'svc-comm-workflow-image-'));
  // Nobody must get in.
  await chmod(root, 0o755);
  const text = await readFile(join(repository, 'examples/workflow/Dockerfile'), 'utf8');
  image = await buildImage(text, { context: repository, root });
}, 600_000 * slowness());
afterAll(() => rm(root, { recursive: true, force: true }));

it('the Dockerfile of examples/workflow builds from what is sent to the engine, and starts the service', async () => {
  expect([image.user, image.exposed]).toEqual(['node', ['8000']]);
  const port = await freePort();
  const server = startImage(image, {
    HOST: '127.0.0.1',
    PORT: String(port),
    SVC_COMM_BROKER_URL: 'embedded:memory',
    SVC_COMM_DATABASE_URL: 'embedded:memory',
  });
  await server.line('Server listening');
  const workflows = `http://127.0.0.1:${port}/workflow`;
  expect(await request(workflows, json({ data: { n: 1 }, steps: [] }))).toMatchObject({ status: 201 });
  expect(await request(`${workflows}/consume`)).toMatchObject({ status: 200, text: 'n\r\n1\r\n' });
  expect(await server.stop()).toBe(0);
});
