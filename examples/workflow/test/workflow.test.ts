import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createService, type SvcCommService } from 'svc-comm';
import { httpServer } from '../src/http.ts';
import { Workflows } from '../src/workflows.ts';

// On the servers that the environment names, else on the embedded ones, in memory.
const name = process.env.SVC_COMM_APP_ID ?? `test_${randomUUID().slice(0, 8)}`;
let service: SvcCommService;
let app: ReturnType<typeof httpServer>;

before(async () => {
  service = createService({
    appId: name,
    brokerUrl: process.env.SVC_COMM_BROKER_URL ?? 'embedded:memory',
    databaseUrl: process.env.SVC_COMM_DATABASE_URL ?? 'embedded:memory',
    schema: process.env.SVC_COMM_SCHEMA ?? 'public',
    queue: name,
    binds: [[name, 'inserted']],
    logLevel: 'error',
  });
  const workflows = new Workflows(service);
  await workflows.prepare();
  await service.relay().start();
  app = httpServer(workflows, { log: false });
});

after(async () => {
  await app.close();
  await service.close();
});

test('a workflow that is posted can be consumed at once, and once', async () => {
  const posted = await app.inject({ method: 'POST', url: '/workflow', payload: { data: { a: 1 }, steps: ['x'] } });
  assert.equal(posted.statusCode, 201);
  const { uuid } = posted.json();
  assert.equal(posted.headers.location, `/workflow/${uuid}`);

  const consumed = await app.inject('/workflow/consume');
  assert.equal(consumed.statusCode, 200);
  assert.equal(consumed.body, 'a\r\n1\r\n');
  assert.equal((await app.inject('/workflow/consume')).statusCode, 204);
  assert.equal((await app.inject(`/workflow/${uuid}`)).json().status, 'consumed');
});
