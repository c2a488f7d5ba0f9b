import { describe, expect, test } from 'vitest';
import { StartAbortedError } from '../../src/errors.ts';
import { Lifecycle } from '../../src/lifecycle/service.ts';
import { Readiness } from '../../src/telemetry/readiness.ts';
import { deferred } from '../../src/util/deferred.ts';

function setup() {
  const readiness = new Readiness();
  const role = (name: string, start: (signal: AbortSignal) => Promise<void>) => {
    const service = new Lifecycle(name, { start, stop: async () => undefined });
    readiness.add(service, () => true);
    return service;
  };
  return { readiness, role };
}

const fails = async (): Promise<void> => {
  throw new Error('the queue is there with other properties');
};

describe('a role whose start failed', () => {
  test('is not ready until it is started or stopped', async () => {
    const { readiness, role } = setup();
    let start = fails;
    const service = role('consumer', () => start());
    expect(readiness.waiting).toEqual([]);
    await expect(service.start()).rejects.toThrow();
    expect(readiness.waiting).toEqual(['consumer']);
    expect(readiness.readings).toMatchObject([{ labels: { 'svc_comm.role': 'consumer' }, value: 0 }]);
    start = async () => undefined;
    await service.start();
    expect(readiness.waiting).toEqual([]);
    await service.stop();
    start = fails;
    await expect(service.start()).rejects.toThrow();
    await service.stop();
    expect(readiness.waiting).toEqual([]);
  });

  test('is replaced by another of its name that was started', async () => {
    const { readiness, role } = setup();
    await expect(role('consumer', fails).start()).rejects.toThrow();
    await role('consumer', async () => undefined).start();
    expect(readiness.waiting).toEqual([]);
    await expect(role('publisher', fails).start()).rejects.toThrow();
    expect(readiness.waiting).toEqual(['publisher']);
  });

  test('has not failed when it was stopped while it started', async () => {
    const { readiness, role } = setup();
    const gate = deferred();
    const service = role('consumer', () => gate.promise);
    const starting = service.start();
    const stopping = service.stop();
    gate.resolve();
    await expect(starting).rejects.toThrow(StartAbortedError);
    await stopping;
    expect(readiness.waiting).toEqual([]);
  });
});

describe('two roles of one name', () => {
  test('are ready when both are, and named once', async () => {
    const { readiness, role } = setup();
    const gate = deferred();
    const starting = [role('consumer', () => gate.promise).start(), role('consumer', () => gate.promise).start()];
    await role('consumer', async () => undefined).start();
    expect(readiness.waiting).toEqual(['consumer']);
    gate.resolve();
    await Promise.all(starting);
    expect(readiness.waiting).toEqual([]);
  });
});

describe('roles that are made again and again', () => {
  function made() {
    const { readiness } = setup();
    let asked = 0;
    const start = async (name: string, begin: () => Promise<void>) => {
      const service = new Lifecycle(name, { start: begin, stop: async () => undefined });
      const starting = service.start();
      readiness.enter(service, () => {
        asked += 1;
        return true;
      });
      await starting.catch(() => undefined);
      return service;
    };
    const asks = () => {
      asked = 0;
      return { told: readiness.readings.map(({ value }) => value), asked };
    };
    return { readiness, start, asks };
  }
  const works = async () => undefined;

  test('are told of by the last of them, while their starts fail and when one works', async () => {
    const { readiness, start, asks } = made();
    for (let n = 0; n < 5; n += 1) await start('consumer', fails);
    expect([readiness.waiting, asks()]).toEqual([['consumer'], { told: [0], asked: 0 }]);
    const service = await start('consumer', works);
    expect([readiness.waiting, asks()]).toEqual([[], { told: [1], asked: 1 }]);
    await service.stop();
    expect([readiness.waiting, asks()]).toEqual([[], { told: [], asked: 0 }]);
  });

  test('are asked again when one of them is started again', async () => {
    const { readiness, start, asks } = made();
    const first = await start('consumer', works);
    await first.stop();
    const second = await start('consumer', works);
    const starting = first.start();
    readiness.enter(first, () => true);
    await starting;
    expect(asks().told).toEqual([1, 1]);
    await second.stop();
    expect(asks().told).toEqual([1]);
  });
});
