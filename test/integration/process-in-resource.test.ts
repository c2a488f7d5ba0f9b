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
    const { instance } = await processes.create('later', {});
    created.push(instance);
    return { id: instance.tasks[0]?.taskId ?? '' };
  };
  server = await startServer(async (app) => void (await app.register(asyncResource('order', { postList }, { tasks }))));
});
afterAll(async () => {
  await server.stop();
  await kit.close();
});

it("an instance that a resource's handler creates is handed over also when the request comes again with its Idempotency-Key", async () => {
  const post = () => server.request('/order/', json({}, { 'idempotency-key': 'one' }));
  expect([(await post()).status, (await post()).status]).toEqual([202, 202]);
  const [one, again] = created;
  expect(again?.id).not.toBe(one?.id);
  for (const instance of [one, again]) {
    expect(instance).toMatchObject({ state: 'Running', tasks: [{ status: 'PENDING' }] });
  }
});
