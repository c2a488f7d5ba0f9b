import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { slowness } from '../slowness.ts';
import type { ServerHome } from './server-home.ts';

export interface LaunchOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Standard output and error are appended here. */
  readonly logFile: string;
  /** Runs as this user; only root can. */
  readonly user?: UserIds | undefined;
}

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** One run of a server. A restart is another ServerProcess. */
export interface ServerProcess {
  readonly pid: number;
  readonly isRunning: boolean;
  /** Resolves with how it ended: `exit 1`, `SIGKILL`. */
  readonly ended: Promise<string>;
  /** Sends the signal and resolves when the process has gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts a server in a process group of its own, so that Ctrl-C in a terminal is ours to handle. */
export async function launch(home: ServerHome, options: LaunchOptions): Promise<ServerProcess> {
  const log = openSync(options.logFile, 'a');
  const child = spawn(options.command, options.args, {
    cwd: home.path,
    detached: true,
    env: { PATH: process.env.PATH, LANG: 'C.UTF-8', ...options.env },
    stdio: ['ignore', log, log],
    ...options.user,
  });
  closeSync(log);
  let how: string | undefined;
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
  }).then(async (text) => {
    how = text;
    if (child.pid !== undefined) await home.forget(child.pid);
    return text;
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${options.command} did not start: ${await ended}`);
  await home.track(pid);
  if (home.isKept) child.unref();
  return {
    pid,
    get isRunning() {
      return how === undefined;
    },
    ended,
    async end(signal) {
      if (how === undefined) process.kill(pid, signal);
      await ended;
    },
  };
}

/**
 * Tries until the server answers.
 * @throws with the end of its log when the process ends before that, or after `timeoutMs`
 */
export async function untilReady(
  server: ServerProcess,
  logFile: string,
  probe: () => Promise<void>,
  timeoutMs = 90_000 * slowness(),
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const failure = await probe().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (failure === undefined) return;
    const isOver = performance.now() > deadline;
    if (server.isRunning && !isOver) await new Promise((resolve) => setTimeout(resolve, 100));
    else {
      const tail = await readFile(logFile, 'utf8').then(
        (text) => text.trimEnd().split('\n').slice(-30).join('\n'),
        () => '',
      );
      const what = isOver ? `no answer within ${timeoutMs} ms` : `it ended (${await server.ended})`;
      throw new Error(`server did not start: ${what}; end of its log:\n${tail}`, { cause: failure });
    }
  }
}
