import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Waits for the end of its standard input, that is of its parent, then takes down what the folder's pid files name. */
const GUARD = `
cat > /dev/null
for file in "$1"/pids/*; do [ -e "$file" ] && kill -9 "$(basename "$file")" 2> /dev/null; done
for turn in 1 2 3 4 5; do rm -rf "$1" 2> /dev/null && break; sleep 0.2; done
`;

/**
 * A temporary folder with servers in it. Both go by `remove`, or by a guard process as soon as this process has ended,
 * however it ended (kill -9 included). A `kept` home has no guard: it outlives this process until `removeKeptHome`.
 */
export class ServerHome {
  readonly path: string;
  readonly isKept: boolean;
  readonly #guard: ChildProcess | undefined;

  private constructor(path: string, guard: ChildProcess | undefined) {
    this.path = path;
    this.isKept = guard === undefined;
    this.#guard = guard;
  }

  static async create(prefix: string, { keep = false } = {}): Promise<ServerHome> {
    const path = await mkdtemp(join(tmpdir(), `svc-comm-${prefix}-`));
    // PostgreSQL refuses to run as root, so under root another user has to get through this folder to its own.
    await chmod(path, 0o755);
    await mkdir(join(path, 'pids'));
    if (keep) return new ServerHome(path, undefined);
    const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', path], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    guard.unref();
    const pipe: unknown = guard.stdin;
    (pipe as { unref(): void }).unref();
    return new ServerHome(path, guard);
  }

  /** The process will not outlive the home. */
  async track(pid: number): Promise<void> {
    await writeFile(join(this.path, 'pids', String(pid)), this.isKept ? await startTime(pid) : '');
  }

  async forget(pid: number): Promise<void> {
    await rm(join(this.path, 'pids', String(pid)), { force: true });
  }

  /** Kills what still runs and removes the folder. Safe to repeat. */
  async remove(): Promise<void> {
    const guard = this.#guard;
    if (!guard) return removeKeptHome(this.path);
    if (guard.exitCode !== null || guard.signalCode !== null) return;
    guard.ref();
    const gone = once(guard, 'exit');
    guard.stdin?.end();
    await gone;
  }
}

/** Takes down a kept home of an earlier process. A pid that has been given to another process meanwhile is left alone. */
export async function removeKeptHome(path: string): Promise<void> {
  for (const pid of await readdir(join(path, 'pids')).catch(() => [])) {
    const recorded = await readFile(join(path, 'pids', pid), 'utf8');
    if (recorded !== '' && recorded === (await startTime(Number(pid)))) process.kill(Number(pid), 'SIGKILL');
  }
  await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** Tells a process from a later one with the same pid; empty when there is none. */
async function startTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // Field 22, counted behind the command's name, which may itself have spaces and brackets (proc(5)).
  if (stat !== undefined) return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.trim();
}
