import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createService, type ServiceParts, type SvcCommService } from '../../src/assemble.ts';
import { DatabaseBusyError, EmbeddedStateError } from '../../src/errors.ts';
import { eventConsumer } from '../../src/index.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { deferred } from '../../src/util/deferred.ts';
import { uniqueName } from '../support/servers.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'svc-comm-embedded-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const services: SvcCommService[] = [];
function service(url: 'embedded:' | 'embedded:memory', parts: ServiceParts = {}): SvcCommService {
  const settings = resolveSettings(
    { appId: uniqueName('embedded'), brokerUrl: url, databaseUrl: url, queue: 'orders', logLevel: 'silent' },
    { root },
  );
  const made = createService(settings, parts);
  services.push(made);
  return made;
}
afterEach(async () => {
  for (const one of services.splice(0)) await one.close();
});

/** Payloads that its consumer handled, and a promise of so many. */
function handled(of: SvcCommService) {
  const ids: number[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  of.messageRouter.consumer('order')(
    eventConsumer(async (payload) => {
      ids.push((payload as { id: number }).id);
      for (const { count, resolve } of waiting) if (ids.length >= count) resolve();
    }),
  );
  const until = (count: number) => {
    const { promise, resolve } = deferred();
    waiting.push({ count, resolve });
    if (ids.length >= count) resolve();
    return promise;
  };
  return { ids, until };
}

const publish = (by: SvcCommService, first: number, last: number) =>
  by.transaction(async () => {
    for (let id = first; id <= last; id += 1) {
      await by.publishAggregateEvent({ aggregate: 'order', eventType: 'create.base', payload: { id }, key: 'one' });
    }
  });

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

describe('embedded:memory', () => {
  it('brings events from a transaction to the handler, in order, with tables that made themselves', async () => {
    const shop = service('embedded:memory');
    const { ids, until } = handled(shop);
    await shop.consumer().start();
    await shop.relay().start();
    await publish(shop, 1, 20);
    await until(20);
    expect(ids).toEqual(upTo(20));
  });

  it('lets the services of one process talk, each with a database of its own', async () => {
    const [shop, stock] = [service('embedded:memory'), service('embedded:memory')];
    const { ids, until } = handled(stock);
    await stock.consumer().start();
    await publish(shop, 1, 3);
    await shop.relay().start();
    await until(3);
    expect(ids).toEqual(upTo(3));
    const [ours, theirs] = [await shop.endpoints(), await stock.endpoints()];
    expect(ours.brokerUrls).toEqual(theirs.brokerUrls);
    expect(ours.databaseUrl).not.toBe(theirs.databaseUrl);
  });

  it('says so instead of hanging when a transaction awaits a statement of another connection', async () => {
    const shop = service('embedded:memory');
    const waits = shop.transaction(() =>
      shop.publishAggregateEvent({ aggregate: 'order', eventType: 'x', payload: {} }, { transaction: 'own' }),
    );
    await expect(waits).rejects.toThrow(DatabaseBusyError);
  });
});

describe('embedded:', () => {
  it('keeps what was written and published in the project’s .svc-comm, which git does not see', async () => {
    const before = service('embedded:');
    handled(before);
    const consumer = before.consumer();
    await consumer.start();
    await consumer.stop();
    // The relay moves 1 … 5 to the queue; 6 … 10 stay in the outbox.
    await publish(before, 1, 5);
    const relay = before.relay();
    await relay.start();
    await vi.waitFor(async () => expect((await before.backlog()).rows).toBe(0), { timeout: 60_000 });
    await relay.stop();
    await publish(before, 6, 10);
    await before.close();

    const after = service('embedded:');
    const { ids, until } = handled(after);
    await after.consumer().start();
    await after.relay().start();
    await until(10);
    expect(ids).toEqual(upTo(10));
    expect(await readFile(join(root, '.svc-comm', '.gitignore'), 'utf8')).toContain('*');
  });

  it.each([
    ['a folder that cannot be made', async (state: string) => writeFile(state, '')],
    [
      'a database that is damaged',
      async (state: string) => {
        await service('embedded:').endpoints();
        await services.pop()?.close();
        await rm(join(state, 'database', 'data', 'global', 'pg_control'));
      },
    ],
  ])('says which state it cannot use, and what to do: %s', async (_, spoil) => {
    const state = join(root, '.svc-comm');
    await rm(state, { recursive: true, force: true });
    await spoil(state);
    const endpoints = service('embedded:').endpoints();
    await expect(endpoints).rejects.toThrow(EmbeddedStateError);
    await expect(endpoints).rejects.toMatchObject({ code: 'SVC_COMM_EMBEDDED_STATE', path: state });
    await expect(endpoints).rejects.toThrow(/start afresh/);
    await services.pop()?.close();
    await rm(state, { recursive: true, force: true });
  });

  it('makes its tables again when its folder is removed while it runs', async () => {
    const state = join(root, '.svc-comm');
    const one = service('embedded:');
    await one.endpoints();
    await rm(state, { recursive: true, maxRetries: 10 });
    // From then on it is another database.
    await vi.waitFor(() => access(join(state, 'database', 'complete')), { timeout: 60_000 });
    await vi.waitFor(() => publish(one, 1, 1), { timeout: 60_000 });
    expect((await one.backlog()).rows).toBe(1);
    await services.pop()?.close();
    await rm(state, { recursive: true });
  });

  it('is served by one service of a folder to the others, and by another when that one leaves', async () => {
    const first = service('embedded:');
    const served = await first.endpoints();
    const second = service('embedded:');
    expect(await second.endpoints()).toEqual(served);
    await first.close();
    await publish(second, 1, 1);
    expect(await second.endpoints()).toEqual(served);
    expect((await second.backlog()).rows).toBe(1);
  });
});
