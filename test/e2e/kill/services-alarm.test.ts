import { afterAll, beforeAll, expect, test } from 'vitest';
import { createService, type SvcCommService } from '../../../src/assemble.ts';
import { silentLogger } from '../../../src/lifecycle/logger.ts';
import { eventually } from '../../support/eventually.ts';
import { type OwnRabbit, startOwnRabbit } from '../../support/own-servers.ts';

let rabbit: OwnRabbit;
const services: SvcCommService[] = [];
beforeAll(async () => {
  rabbit = await startOwnRabbit();
});
afterAll(async () => {
  await Promise.all(services.map((service) => service.close()));
  await rabbit?.remove();
});

const service = (appId: string): SvcCommService => {
  const settings = { appId, brokerUrl: rabbit.url, discovery: { heartbeat: '1s' } } as const;
  const made = createService(settings, { logger: silentLogger });
  services.push(made);
  return made;
};

test('while RabbitMQ is short of memory nobody is taken for gone, and after it all are heard again', async () => {
  const app = service('orders').announcement();
  const looker = service('billing');
  await app.start();
  const look = async () => {
    const seen = await looker.services();
    return { names: seen.services.map(({ name }) => name), isCurrent: seen.isCurrent };
  };
  await eventually('it has come', async () => (await look()).names.includes('orders'));
  await rabbit.ctl('set_vm_memory_high_watermark', '0');
  try {
    await eventually('the listener knows', async () => !(await look()).isCurrent);
    const knownAt = performance.now();
    await eventually('it would be gone', async () => performance.now() - knownAt > 10_000);
    expect(await look()).toEqual({ names: ['orders'], isCurrent: false });
  } finally {
    await rabbit.ctl('set_vm_memory_high_watermark', '0.4');
  }
  await eventually('it hears again', async () => (await look()).isCurrent);
  const heardAt = performance.now();
  await eventually('it would be gone', async () => performance.now() - heardAt > 4_000);
  expect(await look()).toEqual({ names: ['orders'], isCurrent: true });
});
