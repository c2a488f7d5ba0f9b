import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir, uptime } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EmbeddedBroker } from '../../src/embedded/broker/embedded-broker.ts';
import { folderSecret } from '../../src/embedded/hosting/folder-secret.ts';
import { HostLock } from '../../src/embedded/hosting/host-lock.ts';
import { ownIdentity } from '../../src/embedded/hosting/process-identity.ts';
import { SharedServer } from '../../src/embedded/hosting/shared-server.ts';
import { silentLogger } from '../../src/lifecycle/logger.ts';

let folder: string;
const running: SharedServer[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'svc-comm-hosting-'));
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Where the system lets us make one: as root, on Linux. */
const hasNamespaces = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status === 0;

/** A host in another container, that serves. */
const ELSEWHERE = { pid: 2 ** 30, startedAt: 'before', namespace: 'another pid:[1]', url: 'amqp://elsewhere' };
const touch = (file: string, seconds: number) => {
  const at = Date.now() / 1000 + seconds;
  return utimes(join(folder, file), at, at);
};

const take = () => HostLock.take(folder, 'broker');
const locks = async () => (await readdir(folder)).filter((file) => file.endsWith('.lock'));
/** Leaves a lock behind as a process does that was killed. */
const leave = (number: number, record: object) =>
  writeFile(join(folder, `broker.${number}.lock`), JSON.stringify({ state: 'serving', ...record }));

describe('the lock of a folder', () => {
  it('goes to one of many who ask at once', async () => {
    const results = await Promise.all(Array.from({ length: 20 }, take));
    expect(results.filter(({ kind }) => kind === 'taken')).toHaveLength(1);
    expect(await locks()).toHaveLength(1);
  });

  it('is free when its process is gone, or is another one with the same number', async () => {
    await leave(4, { pid: 2 ** 30, startedAt: '', port: 1234 });
    expect(await take()).toMatchObject({ kind: 'taken', previous: { port: 1234 } });
    expect(await locks()).toEqual(['broker.5.lock']);
    await leave(6, { ...(await ownIdentity()), startedAt: 'the day before' });
    expect(await take()).toMatchObject({ kind: 'taken' });
    expect(await locks()).toEqual(['broker.7.lock']);
  });

  it('is held by a process that runs, until it gives it back', async () => {
    const first = await take();
    if (first.kind !== 'taken') throw new Error('not taken');
    await first.lock.serving('amqp://somewhere', 7);
    expect(await take()).toMatchObject({ kind: 'held', record: { state: 'serving', url: 'amqp://somewhere' } });
    await first.lock.release(7);
    expect(await take()).toMatchObject({ kind: 'taken', previous: { state: 'released', port: 7 } });
  });

  it('is held by a process of another container while that touches it, whatever its number means here', async () => {
    await leave(1, ELSEWHERE);
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      for (let beat = 0; beat < 3; beat++) {
        await touch('broker.1.lock', beat - 60);
        vi.advanceTimersByTime(14_000);
        expect(await HostLock.holder(folder, 'broker')).toMatchObject({ record: ELSEWHERE, isSure: beat > 0 });
      }
      // Nobody touches it any more.
      vi.advanceTimersByTime(14_000);
      expect(await take()).toMatchObject({ kind: 'held', record: ELSEWHERE });
      vi.advanceTimersByTime(2000);
      expect(await take()).toMatchObject({ kind: 'taken', previous: ELSEWHERE });
      // Nor does anybody wait as long for the next of its locks.
      await writeFile(join(folder, 'journal.1.lock'), JSON.stringify({ state: 'serving', ...ELSEWHERE }));
      await touch('journal.1.lock', -60);
      expect(await HostLock.take(folder, 'journal')).toMatchObject({ kind: 'held', isSure: false });
      vi.advanceTimersByTime(3500);
      expect(await HostLock.take(folder, 'journal')).toMatchObject({ kind: 'taken' });
    } finally {
      vi.useRealTimers();
    }
  });

  it('is free after three seconds when it was touched last before the machine was started, and was not seen to be touched', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      await leave(1, { ...ELSEWHERE, startedAt: 'before the boot' });
      await touch('broker.1.lock', -uptime() - 60);
      expect(await take()).toMatchObject({ kind: 'held', isSure: false });
      vi.advanceTimersByTime(3500);
      expect(await take()).toMatchObject({ kind: 'taken' });
      // One whose clock is behind, or ours was set: it was seen, and has all the time.
      await leave(3, { ...ELSEWHERE, startedAt: 'by another clock' });
      for (const beat of [0, 1]) {
        await touch('broker.3.lock', -uptime() - 60 + beat);
        expect(await take()).toMatchObject({ kind: 'held', isSure: beat > 0 });
      }
      vi.advanceTimersByTime(14_000);
      expect(await take()).toMatchObject({ kind: 'held', isSure: true });
    } finally {
      vi.useRealTimers();
    }
  });

  it('is touched also while the process that has it does nothing else', async () => {
    const taken = await take();
    if (taken.kind !== 'taken') throw new Error('not taken');
    const touched = async () => (await stat(join(folder, 'broker.1.lock'))).mtimeMs;
    const first = await touched();
    await expect.poll(touched, { timeout: 60_000 }).toBeGreaterThan(first);
    const before = await touched();
    const untilMs = performance.now() + 2500;
    while (performance.now() < untilMs);
    const { mtimeMs } = statSync(join(folder, 'broker.1.lock'));
    expect(mtimeMs).toBeGreaterThan(before);
    await taken.lock.release(undefined);
  });

  it.runIf(hasNamespaces)('is seen to be held from a PID namespace in which nobody sees its process', async () => {
    const taken = await take();
    if (taken.kind !== 'taken') throw new Error('not taken');
    await taken.lock.serving('amqp://somewhere', 7);
    const child = fileURLToPath(new URL('../support/lock-holder.ts', import.meta.url));
    const inside = ['--pid', '--fork', '--mount-proc', process.execPath, '--import', 'tsx', child, folder];
    const { stdout } = await promisify(execFile)('unshare', inside);
    expect(JSON.parse(stdout)).toMatchObject({ record: { url: 'amqp://somewhere', pid: process.pid } });
    await taken.lock.release(7);
    expect((await promisify(execFile)('unshare', inside)).stdout).toBe('null');
  });

  it('is not held in a copy of the folder by the process that serves the folder it was copied from', async () => {
    await take();
    await cp(folder, `${folder}.copy`, { recursive: true });
    try {
      expect(await HostLock.holder(`${folder}.copy`, 'broker')).toBeUndefined();
      expect(await HostLock.take(`${folder}.copy`, 'broker')).toMatchObject({ kind: 'taken' });
      await rename(folder, `${folder}.moved`);
      expect(await HostLock.holder(`${folder}.moved`, 'broker')).toMatchObject({ record: { pid: process.pid } });
    } finally {
      for (const end of ['copy', 'moved']) await rm(`${folder}.${end}`, { recursive: true, force: true });
    }
  });

  it('is not that of another who made the folder anew, where the numbers begin anew', async () => {
    const first = await take();
    await rm(folder, { recursive: true });
    const second = await take();
    if (first.kind !== 'taken' || second.kind !== 'taken') throw new Error('not taken');
    expect(await locks()).toEqual(['broker.1.lock']);
    expect([await first.lock.isOurs(), await second.lock.isOurs()]).toEqual([false, true]);
    await first.lock.release(7);
    expect(await HostLock.holder(folder, 'broker')).toMatchObject({ record: { pid: process.pid } });
  });

  it('is not taken by one who cannot look at it', async () => {
    const file = join(folder, 'broker.1.lock');
    await symlink(file, file);
    await expect(take()).rejects.toMatchObject({ code: 'ELOOP' });
    await expect(HostLock.holder(folder, 'broker')).rejects.toMatchObject({ code: 'ELOOP' });
  });

  it('is held by a process that has another time zone and another language than who asks, where ps tells of it', async () => {
    // What BSD and macOS have for /proc; it prints the start in the words of who asks.
    const platform = vi.spyOn(process, 'platform', 'get').mockReturnValue('darwin');
    try {
      await writeFile(join(folder, 'ps'), '#!/bin/sh\necho "S $TZ $LC_ALL"\n', { mode: 0o755 });
      vi.stubEnv('PATH', `${folder}:${process.env.PATH}`);
      vi.stubEnv('TZ', 'Asia/Tokyo');
      await take();
      vi.stubEnv('TZ', 'America/New_York');
      vi.stubEnv('LC_ALL', 'de_DE.UTF-8');
      expect(await take()).toMatchObject({ kind: 'held' });
    } finally {
      vi.unstubAllEnvs();
      platform.mockRestore();
    }
  });

  it('is not taken from one who is just writing it, and is from one who died at that', async () => {
    const file = join(folder, 'broker.1.lock');
    await writeFile(file, '{"pid":');
    expect(await take()).toMatchObject({ kind: 'held' });
    await vi.waitFor(async () => expect(await take()).toMatchObject({ kind: 'taken' }), { timeout: 60_000 });
  });

  it('is never with two processes, when each that has it is killed and many wait', async () => {
    const log = join(folder, 'log');
    const child = fileURLToPath(new URL('../support/lock-child.ts', import.meta.url));
    const children = Array.from({ length: 6 }, () => {
      const made = spawn(process.execPath, ['--import', 'tsx', child, folder, log], { stdio: 'inherit' });
      return once(made, 'exit');
    });
    await Promise.all(children);
    const lines = (await readFile(log, 'utf8')).trim().split('\n');
    expect(lines).toHaveLength(12);
    for (let at = 0; at < lines.length; at += 2) {
      expect(lines[at + 1]).toBe(lines[at]?.replace('from', 'to'));
    }
  });
});

describe('the secret of a folder', () => {
  it('is the same for all who ask at once, and nobody else may read it', async () => {
    const secrets = await Promise.all(Array.from({ length: 20 }, () => folderSecret(folder)));
    expect(new Set(secrets).size).toBe(1);
    expect(await folderSecret(folder)).toBe(secrets[0]);
    expect(await readdir(folder)).toEqual(['secret']);
    expect((await stat(join(folder, 'secret'))).mode & 0o777).toBe(0o600);
  });

  it('that is empty is told, rather than being a password', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'secret'), '');
    await expect(folderSecret(folder)).rejects.toThrow(/secret is empty: stop the processes .* and delete it/);
  });

  it('is another one in another folder', async () => {
    expect(await folderSecret(join(folder, 'a'))).not.toBe(await folderSecret(join(folder, 'b')));
  });
});

describe('a server that processes share', () => {
  const shared = () => {
    const create = (port: number, onBroken: () => void) => new EmbeddedBroker({ port, onBroken });
    const made = new SharedServer({ name: 'broker', folder, create, logger: silentLogger });
    running.push(made);
    return made;
  };

  it('is served by the first, joined by the second, and taken over on the same port when the first leaves', async () => {
    const [first, second] = [shared(), shared()];
    await first.start();
    await second.start();
    expect([first.isHosting, second.isHosting]).toEqual([true, false]);
    expect(second.url).toBe(first.url);
    const { url } = first;
    await first.stop();
    await vi.waitFor(() => expect(second.isHosting).toBe(true), { timeout: 60_000 });
    expect(second.url).toBe(url);
  });

  it('joins one in another container only when that is seen to live, and takes over from one that is not', async () => {
    await leave(1, { ...ELSEWHERE, pid: 2 ** 29 });
    await touch('broker.1.lock', -20);
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const [joining, serving] = [shared(), shared()];
      const joined = joining.start();
      let beat = Promise.resolve();
      const beating = setInterval(() => {
        beat = beat.then(() => touch('broker.1.lock', -20 + Math.random()));
      }, 20);
      await joined;
      clearInterval(beating);
      // One that is under way would be seen as a sign of life by who comes next.
      await beat;
      expect([joining.isHosting, joining.url]).toEqual([false, ELSEWHERE.url]);
      await joining.stop();
      vi.advanceTimersByTime(16_000);
      await serving.start();
      expect(serving.isHosting).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is served on another port when somebody has taken the last one', async () => {
    const taken = new EmbeddedBroker();
    await taken.start();
    await leave(1, { pid: 2 ** 30, startedAt: '', port: taken.port });
    const server = shared();
    await server.start();
    expect(new URL(server.url).port).not.toBe(String(taken.port));
    await taken.stop();
  });

  it('starts anew on the same port when it broke down by itself', async () => {
    const made: { broker: EmbeddedBroker; breakDown: () => void }[] = [];
    const create = (port: number, breakDown: () => void) => {
      const broker = new EmbeddedBroker({ port });
      made.push({ broker, breakDown });
      return broker;
    };
    const server = new SharedServer({ name: 'broker', folder, create, logger: silentLogger });
    running.push(server);
    await server.start();
    const { url } = server;
    await made[0]?.broker.stop();
    made[0]?.breakDown();
    await vi.waitFor(() => expect(made[1]?.broker.state).toBe('running'), { timeout: 60_000 });
    await vi.waitFor(async () =>
      expect(await HostLock.holder(folder, 'broker')).toMatchObject({ record: { state: 'serving', url } }),
    );
  });

  it('starts anew on the same port when its folder was removed', async () => {
    const server = shared();
    await server.start();
    const { url } = server;
    await rm(folder, { recursive: true });
    await vi.waitFor(
      async () => expect(await HostLock.holder(folder, 'broker')).toMatchObject({ record: { state: 'serving' } }),
      {
        timeout: 10_000,
      },
    );
    expect(server.isHosting).toBe(true);
    expect(server.url).toBe(url);
  });

  it('goes on where its process cannot look at the lock, says so once, and looks again', async () => {
    const told: string[] = [];
    let brokers = 0;
    const create = (port: number) => {
      brokers += 1;
      return new EmbeddedBroker({ port });
    };
    const logger = { ...silentLogger, error: (_fields: object, text: string) => told.push(text) };
    const server = new SharedServer({ name: 'broker', folder, create, logger });
    running.push(server);
    // One link takes another's place at once: the folder is never missing, which would say that it was removed.
    const real = `${folder}.real`;
    const lead = async (to: string) => {
      await symlink(to, `${folder}.link`);
      await rename(`${folder}.link`, folder);
    };
    await rename(folder, real);
    try {
      await lead(real);
      await server.start();
      await lead(folder);
      await vi.waitFor(() => expect(told).toHaveLength(1), { timeout: 60_000 });
      await lead(real);
      expect(server.isHosting).toBe(true);
      await server.stop();
      expect(await take()).toMatchObject({ kind: 'taken', previous: { state: 'released' } });
    } finally {
      await rm(real, { recursive: true, force: true });
    }
    expect(brokers).toBe(1);
    expect(told).toEqual([expect.stringContaining('cannot be looked at')]);
  });

  it('gives the lock back when it does not start', async () => {
    const create = () => {
      throw new Error('no such package');
    };
    const server = new SharedServer({ name: 'broker', folder, create, logger: silentLogger });
    await expect(server.start()).rejects.toThrow('no such package');
    expect(await HostLock.holder(folder, 'broker')).toBeUndefined();
  });

  it('gives it back even where nothing can be written, and says what went wrong first', async () => {
    const create = () => {
      // In the place of the file that says so.
      mkdirSync(join(folder, 'broker.1.lock.tmp'));
      throw new Error('no space left on device');
    };
    const server = new SharedServer({ name: 'broker', folder, create, logger: silentLogger });
    await expect(server.start()).rejects.toThrow('no space left on device');
    expect(await HostLock.holder(folder, 'broker')).toBeUndefined();
    const next = shared();
    await next.start();
    expect(next.isHosting).toBe(true);
  });
});
