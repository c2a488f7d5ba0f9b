import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createService, type SvcCommService } from '../../src/assemble.ts';
import { Embedded, type UrlService } from '../../src/assembly/embedded.ts';
import { EmbeddedServer, stateFolder } from '../../src/assembly/embedded-server.ts';
import { projectServer } from '../../src/cli/project-server.ts';
import { HostLock } from '../../src/embedded/hosting/host-lock.ts';
import { StartAbortedError } from '../../src/errors.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';
import { ProcessRegistry } from '../../src/process/registry.ts';
import { MessageRouter } from '../../src/router/router.ts';
import { resolveSettings } from '../../src/settings/resolve.ts';
import { TaskRegistry } from '../../src/task/registry.ts';
import { deferred } from '../../src/util/deferred.ts';

describe('while whoever has the lock of an embedded server does not serve', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'svc-comm-stop-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** Takes the lock. `waits` resolves when somebody waits for it. */
  async function held(kind: 'broker' | 'database') {
    const taken = await HostLock.take(stateFolder(root), kind);
    if (taken.kind !== 'taken') throw new Error('not taken');
    const waits = deferred();
    const { holder } = HostLock;
    let looks = 0;
    const spy = vi.spyOn(HostLock, 'holder').mockImplementation((folder, name) => {
      if (name === kind) looks += 1;
      if (looks === 2) waits.resolve();
      return holder(folder, name);
    });
    onTestFinished(async () => {
      spy.mockRestore();
      await taken.lock.release(undefined);
    });
    return { waits: waits.promise };
  }

  const DOWN = { broker: { databaseUrl: 'embedded:memory' }, database: { brokerUrl: 'embedded:memory' } } as const;
  const serviceOn = (down: keyof typeof DOWN): SvcCommService => {
    const urls = { brokerUrl: 'embedded:', databaseUrl: 'embedded:', ...DOWN[down] };
    const settings = resolveSettings({ appId: 'stopped', logLevel: 'silent', ...urls }, { root });
    return createService(settings, { messageRouter: new MessageRouter() });
  };

  it('a stop ends the start of the server itself, also before its code is loaded', async () => {
    const { waits } = await held('broker');
    const server = new EmbeddedServer({ kind: 'broker', url: 'embedded:', root, canHost: true, logger: silentLogger });
    for (const moment of [Promise.resolve(), waits]) {
      const starting = expect(server.start()).rejects.toBeInstanceOf(StartAbortedError);
      await moment;
      await server.stop();
      await starting;
      expect(server.state).toBe('idle');
    }
  });

  it.each([
    ['a relay', 'broker', (service: SvcCommService) => service.relay()],
    ['a consumer', 'database', (service: SvcCommService) => service.consumer()],
    ['a relay', 'database', (service: SvcCommService) => service.relay()],
    ['a worker', 'database', (service: SvcCommService) => service.worker({ files: [] })],
  ] as const)('a stop ends the start of %s that waits for the %s', async (_name, down, make) => {
    const { waits } = await held(down);
    const service = serviceOn(down);
    const role = make(service);
    const starting = expect(role.start()).rejects.toBeInstanceOf(StartAbortedError);
    await waits;
    await role.stop();
    await starting;
    await service.close();
  });
});

it('a stop ends the start of an embedded database that goes away before its tables are up to date', async () => {
  const listening = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const close = async () => void listening.close();
  const gone: UrlService = { name: 'gone', state: 'running', url, start: async () => undefined, stop: close };
  const settings = resolveSettings({ appId: 'stopped', logLevel: 'silent', databaseUrl: 'embedded:memory' });
  const { database } = new Embedded(settings, {
    canHost: true,
    logger: silentLogger,
    servers: { broker: gone, database: gone },
  });
  const asked = once(listening, 'connection');
  const starting = expect(database?.start()).rejects.toBeInstanceOf(StartAbortedError);
  await asked;
  await database?.stop();
  await starting;
  expect(database?.state).toBe('idle');
  expect(listening.listening).toBe(false);
});

describe('a server of a project that is stopped while its code is loaded', () => {
  /** @param close what becomes of a service that is closed before it has anything */
  const setup = (close: () => Promise<void>) => {
    const asked: string[] = [];
    const ask = (what: string) => async () => {
      asked.push(what);
      throw new Error('the service is closed');
    };
    const service = { close, tasks: ask('tasks'), processes: ask('processes'), addToReadiness: () => undefined };
    const registries = { taskRegistry: new TaskRegistry(), processRegistry: new ProcessRegistry() };
    const project = { ...registries, messageRouter: new MessageRouter(), taskFiles: [] };
    const settings = resolveSettings({ appId: 'stopped', http: { port: 0 } });
    const server = projectServer(service as unknown as SvcCommService, { settings, project, logger: silentLogger });
    return { server, asked };
  };

  it.each([
    ['', async () => undefined],
    [', also when what it was built on cannot be closed', () => Promise.reject(new Error('cannot be closed'))],
  ])('asks for nothing more, which might wait for the database%s', async (_when, close) => {
    const { server, asked } = setup(close);
    const starting = expect(server.start()).rejects.toBeInstanceOf(StartAbortedError);
    await server.stop();
    await starting;
    expect(asked).toEqual([]);
  });
});
