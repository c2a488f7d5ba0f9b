import { afterAll, beforeAll, expect, it } from 'vitest';
import { asyncResource } from '../../src/http/async-resource/async-resource.ts';
import type { ProcessInstance } from '../../src/process/instance.ts';
import { json, startServer, type TestServer } from '../support/fastify-kit.ts';
import { ProcessKit } from '../support/process-kit.ts';

let kit: ProcessKit;
let server: TestServer;
const created: ProcessInstance[] = [];

beforeAll(async () => {
  kit = await ProcessKit.create('real servers');
  const service = kit.service();
  const [tasks, processes] = [await service.tasks(), await service.processes()];
  const postList = async () => {
    const { instance: mailed } = await processes.create('mailing', {});
    const { instance } = await processes.create('later', {});
    created.push(mailed, instance);
    return { id: instance.tasks[0]?.taskId ?? '' };
  };
  server = await startServer(async (app) => void (await app.register(asyncResource('order', { postList }, { tasks }))));
});
afterAll(async () => {
  await server.stop();
  await kit.close();
});

it("an instance that a resource's handler creates runs, starts and hands over its own also when the request comes again with its Idempotency-Key", async () => {
  const post = () => server.request('/order/', json({}, { 'idempotency-key': 'one' }));
  expect([(await post()).status, (await post()).status]).toEqual([202, 202]);
  expect(new Set(created.map(({ id }) => id)).size).toBe(4);
  const [mailed, handedOver, mailedAgain, handedOverAgain] = created;
  for (const instance of [handedOver, handedOverAgain]) {
    expect(instance).toMatchObject({ state: 'Running', tasks: [{ status: 'PENDING' }] });
  }
  for (const instance of [mailed, mailedAgain]) {
    expect(instance).toMatchObject({ state: 'Complete', tasks: [{ status: 'SUCCESS' }] });
  }
  expect(mailed?.tasks[0]?.result).not.toBe(mailedAgain?.tasks[0]?.result);
});
