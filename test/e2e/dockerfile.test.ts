import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repository } from '../support/cli-project.ts';
import { type BuiltImage, buildImage, startImage } from '../support/dockerfile.ts';
import { json, request } from '../support/fastify-kit.ts';
import { freePort } from '../support/servers/free-port.ts';
import { slowness } from '../support/slowness.ts';

const HELLO = `
id: hello-world
meta:
  name: HelloWorld
  description: Greets somebody.
  fields: [{ name: foo, description: Who, type: CharField, required: true }]
validations:
  - [validations.required_fields, [foo]]
  - [validations.polite]
tasksSync: [tasks.say_hello]
tasksAsync:
  - [wait, [{ for: 10ms }]]
`;
const SAY_HELLO = `export const say_hello = ({ body }) => \`Hello \${body.foo}\`;\n`;
const POLITE = `export const polite = ({ body }) => body.foo !== 'you' || 'say a name';\n`;

let root: string;
let image: BuiltImage;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'svc-comm-image-'));
  // Nobody must get in.
  await chmod(root, 0o755);
  const text = await readFile(join(repository, 'Dockerfile'), 'utf8');
  image = await buildImage(text, { context: repository, root });
}, 300_000 * slowness());
afterAll(() => rm(root, { recursive: true, force: true }));

const start = (environment?: Record<string, string>, command?: readonly string[]) =>
  startImage(image, environment, command);

describe('the steps of the Dockerfile', () => {
  it('leave what serves, owned by who serves, and nothing that was for building', async () => {
    expect(image.user).toBe('node');
    expect(image.exposed).toEqual(['4000']);
    const manifest = JSON.parse(await readFile(join(root, 'stage1/opt/svc-comm/package.json'), 'utf8'));
    expect(manifest).not.toHaveProperty('devDependencies');
    for (const name of ['typescript', 'vitest', 'playwright-core']) {
      await expect(readFile(join(root, `stage1/opt/svc-comm/node_modules/${name}/package.json`))).rejects.toThrow();
    }
  });

  it('start a server that runs alone: mounted processes, tasks and validations, on embedded servers', async () => {
    for (const [file, content] of [
      ['processes/hello.yaml', HELLO],
      ['tasks/custom/say_hello.js', SAY_HELLO],
      ['validations/custom/polite.js', POLITE],
    ] as const) {
      await writeFile(join(image.folder, file), content);
    }
    const port = String(await freePort());
    const server = start({ SVC_COMM_HTTP_PORT: port });
    const token = /token: (\S+)/.exec(await server.line('token: '))?.[1] ?? '';
    expect(token.length).toBeGreaterThan(30);
    await server.line('listening on');
    const base = `http://127.0.0.1:${port}`;
    const authorization = `Bearer ${token}`;
    expect((await request(`${base}/docs`)).status).toBe(401);
    expect((await request(`${base}/docs`, { headers: { authorization } })).text).toContain('HelloWorld');
    const created = await request(`${base}/hello-world`, json({ foo: 'World' }, { authorization }));
    expect([created.status, created.json]).toMatchObject([201, { tasks: [{ result: 'Hello World' }, {}] }]);
    expect(await request(`${base}/hello-world`, json({ foo: 'you' }, { authorization }))).toMatchObject({
      status: 422,
    });
    const { id } = created.json as { id: string };
    const state = async () => (await request(`${base}/hello-world/${id}`, { headers: { authorization } })).json;
    await expect.poll(state, { timeout: 60_000 * slowness() }).toMatchObject({ state: 'Complete' });

    const isHealthy = start({ SVC_COMM_HTTP_PORT: port }, image.healthCheck);
    expect(await isHealthy.exit).toBe(0);
    expect(await server.stop()).toBe(0);
    const isDown = start({ SVC_COMM_HTTP_PORT: port }, image.healthCheck);
    expect(await isDown.exit).toBe(1);
  });

  it('are kept from what is not theirs: a token that is set is taken, and never printed', async () => {
    const port = String(await freePort());
    const server = start({ SVC_COMM_HTTP_PORT: port, SVC_COMM_HTTP_TOKEN: 'c4n4ry' });
    await server.line('listening on');
    const headers = { authorization: 'Bearer c4n4ry' };
    expect((await request(`http://127.0.0.1:${port}/asyncapi.json`, { headers })).status).toBe(200);
    server.child.kill('SIGTERM');
    await once(server.child, 'close');
    expect(server.lines.join('\n')).not.toMatch(/c4n4ry|token: /);
  });
});
