import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { globFolders } from '../../src/cli/dev/glob-folders.ts';
import { Supervisor } from '../../src/cli/dev/supervisor.ts';
import { ProjectWatch } from '../../src/cli/dev/watch.ts';
import type { Service } from '../../src/lifecycle/service.ts';
import { deferred } from '../../src/util/deferred.ts';
import { LogLines } from '../support/broker-kit.ts';
import { isAlive } from '../support/processes.ts';

const base = mkdtempSync(join(tmpdir(), 'svc-comm-dev-'));
const services: Service[] = [];
afterEach(async () => {
  for (const service of services.splice(0)) await service.stop();
});
afterAll(() => rmSync(base, { recursive: true }));

function keep<S extends Service>(service: S): S {
  services.push(service);
  return service;
}

let children = 0;
/** A child that appends its pid to a file when it is up, and then runs `code`. */
function childOf(code: string, graceMs = 2000) {
  children += 1;
  const module = join(base, `child${children}.mjs`);
  const file = join(base, `pids${children}`);
  writeFileSync(
    module,
    `import { appendFileSync } from 'node:fs';
    ${code}
    setInterval(() => {}, 1000);
    await new Promise((go) => process.once('message', go));
    appendFileSync(${JSON.stringify(file)}, process.pid + '\\n');
    process.send({ kind: 'watch', paths: ['/x'] });
    process.send({ kind: 'started' });`,
  );
  const onWatch = vi.fn();
  const log = new LogLines();
  const supervisor = keep(new Supervisor('child', { module, args: [], logger: log, graceMs, onWatch }));
  // Whole lines only: the file is there, and empty, before the first is written.
  const pids = () => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1).map(Number) : []);
  const runs = (count: number) =>
    vi.waitFor(() => expect(pids()).toHaveLength(count), { timeout: 60_000, interval: 5 });
  return { supervisor, onWatch, log, pids, runs };
}

describe('the supervisor of a dev command', () => {
  it('starts its child, replaces it, and leaves none behind', async () => {
    const { supervisor, onWatch, pids, runs } = childOf('');
    await supervisor.start();
    await runs(1);
    await vi.waitFor(() => expect(onWatch).toHaveBeenCalledWith(['/x']), { timeout: 60_000 });
    await supervisor.restart();
    await runs(2);
    const [first = 0, second = 0] = pids();
    expect(isAlive(first)).toBe(false);
    expect(isAlive(second)).toBe(true);
    await supervisor.stop();
    expect(isAlive(second)).toBe(false);
  });

  it('outlives a child that writes to its channel, says so, and replaces it as ever', async () => {
    const code = "const { writeSync } = await import('node:fs'); writeSync(3, 'this is no JSON\\n');";
    const { supervisor, log, runs } = childOf(code);
    await supervisor.start();
    await log.seen('file descriptor 3');
    await runs(1);
    await supervisor.restart();
    await runs(2);
  });

  it('kills a child that does not end in its grace time', async () => {
    const { supervisor, pids, runs } = childOf("process.on('SIGTERM', () => {});", 100);
    await supervisor.start();
    await runs(1);
    await supervisor.stop();
    expect(pids().map(isAlive)).toEqual([false]);
  });

  it('waits for a change after a child that ended by itself', async () => {
    const { supervisor, runs, pids } = childOf('');
    await supervisor.start();
    await runs(1);
    const [pid = 0] = pids();
    process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 60_000 });
    await supervisor.restart();
    await runs(2);
  });

  it('joins changes that come while it replaces the child', async () => {
    const { supervisor, runs } = childOf('');
    await supervisor.start();
    await runs(1);
    await Promise.all([supervisor.restart(), supervisor.restart(), supervisor.restart()]);
    await runs(2);
  });

  it('starts and stops in any order, and does not restart when stopped', async () => {
    const { supervisor, pids, runs } = childOf('');
    await supervisor.restart();
    await Promise.all([supervisor.start(), supervisor.start()]);
    await runs(1);
    await Promise.all([supervisor.restart(), supervisor.stop(), supervisor.stop()]);
    await supervisor.restart();
    expect(pids().filter(isAlive)).toEqual([]);
    await supervisor.start();
    await runs(pids().length + 1);
  });
});

describe('the watch of a project', () => {
  async function watched(files: readonly string[] = [], links: readonly string[] = []) {
    const root = mkdtempSync(join(base, 'project-'));
    mkdirSync(join(root, 'src'));
    for (const file of files) writeFileSync(join(root, file), '');
    for (const link of links) symlinkSync(join(root, link), join(root, link));
    let next = deferred<string>();
    const log = new LogLines();
    const watch = keep(new ProjectWatch({ root, onChange: (file) => next.resolve(file), logger: log }));
    await watch.start();
    const change = async (file: string): Promise<string> => {
      next = deferred<string>();
      mkdirSync(join(root, file, '..'), { recursive: true });
      writeFileSync(join(root, file), String(Math.random()));
      return (await next.promise).slice(root.length + 1);
    };
    return { root, watch, change, log };
  }

  it('tells of changed files, of new ones, in new folders, and of a settings file that appears', async () => {
    const { change } = await watched(['src/a.ts']);
    expect(await change('src/a.ts')).toBe('src/a.ts');
    expect(await change('src/b.ts')).toBe('src/b.ts');
    expect(await change('src/deep/er/c.ts')).toBe('src/deep/er/c.ts');
    expect(await change('svc-comm.config.ts')).toBe('svc-comm.config.ts');
    expect(await change('.env')).toBe('.env');
  });

  it('tells of folders that were added, and not of builds, dependencies, logs and editors’ files', async () => {
    const { root, watch, change } = await watched();
    mkdirSync(join(root, 'old'));
    await watch.add([join(root, 'lib'), join(root, 'old')]);
    for (const file of [
      'node_modules/a/index.js',
      'src/node_modules/x.js',
      'dist/a.js',
      'src/.a.ts.swp',
      'src/a.ts~',
      'src/app.log',
      'old/app.log.1',
    ]) {
      mkdirSync(join(root, file, '..'), { recursive: true });
      writeFileSync(join(root, file), '');
    }
    expect(await change('lib/a.ts')).toBe('lib/a.ts');
    expect(await change('old/a.ts')).toBe('old/a.ts');
    expect(await change('old/a.ts')).toBe('old/a.ts');
  });

  it('goes on with the rest, and names the first of what it leaves out for each reason', async () => {
    // Which is looked at first is the file system's choice.
    const { root, change, log } = await watched(['src/a.ts'], ['src/round', 'src/around']);
    expect(await change('src/a.ts')).toBe('src/a.ts');
    const lines = log.lines.filter(({ text }) => text.startsWith('cannot watch'));
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'debug']);
    expect(lines[0]?.text).toMatch(/src\/a?round, so that a change there starts nothing anew: ELOOP/);
    expect(lines.map(({ fields }) => (fields as { path: string }).path).toSorted()).toEqual([
      join(root, 'src/around'),
      join(root, 'src/round'),
    ]);
  });
});

describe('the folders of globs', () => {
  it('end where a sign of a pattern begins, or at the folder of a file that is named', () => {
    const globs = ['src/**/consumers.{ts,js}', 'src/*.ts', 'lib/consumers.ts', '**/x.ts', 'a/{b,c}/d.ts'];
    expect(globFolders('/p', globs)).toEqual(['/p/src', '/p/lib', '/p', '/p/a']);
  });
});
