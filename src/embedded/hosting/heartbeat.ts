import { stat } from 'node:fs/promises';
import { uptime } from 'node:os';
import { Worker } from 'node:worker_threads';
import { codeOf } from '../../util/thrown.ts';
import type { ProcessIdentity } from './process-identity.ts';

const BEAT_MS = 1000;
/** Whoever does not touch its file for so long is gone, or stands still as a whole. */
export const SILENCE_MS = 15_000;

/**
 * Touches the files that it is told of. In a thread of its own: one statement of the embedded database, or a breakpoint,
 * holds up everything else in the process for as long as it likes.
 */
const BEATS = `
const { parentPort } = require('node:worker_threads');
const { utimesSync } = require('node:fs');
const paths = new Set();
const touch = (path) => {
  const now = new Date();
  try { utimesSync(path, now, now); } catch { /* Of a file that is gone its owner hears elsewhere. */ }
};
parentPort.on('message', ({ path, isOurs }) => {
  if (isOurs) paths.add(path);
  else paths.delete(path);
});
setInterval(() => paths.forEach(touch), ${BEAT_MS});
`;

/** The thread, while this process has a lock. */
let thread: { readonly worker: Worker; locks: number } | undefined;

/** Shows by a file's time that a process lives, to those who cannot see it: to other containers with the same folder. */
export class Heartbeat {
  readonly #path: string;
  #isBeating = false;

  constructor(path: string) {
    this.#path = path;
  }

  start(): void {
    if (this.#isBeating) return;
    this.#isBeating = true;
    thread ??= { worker: begin(), locks: 0 };
    thread.locks += 1;
    thread.worker.postMessage({ path: this.#path, isOurs: true });
  }

  stop(): void {
    if (!this.#isBeating) return;
    this.#isBeating = false;
    if (!thread) return;
    thread.worker.postMessage({ path: this.#path, isOurs: false });
    thread.locks -= 1;
    if (thread.locks > 0) return;
    void thread.worker.terminate();
    thread = undefined;
  }
}

function begin(): Worker {
  // Nothing of the process's own: a hook that it is started with would run in the thread, too.
  const worker = new Worker(BEATS, { eval: true, execArgv: [], env: {}, name: 'svc-comm heartbeat' });
  worker.unref();
  return worker;
}

/** - `unknown`: it was not looked at for long enough; ask again */
export type Pulse = 'beating' | 'silent' | 'unknown';

interface Seen {
  readonly sign: string;
  /** On the monotonic clock: two machines' clocks may say different times. */
  readonly sinceMs: number;
  readonly hasBeaten: boolean;
}

const seen = new Map<string, Seen>();
/** Holders of which one file was silent: nobody waits for each of their files anew. */
const gone = new Set<string>();

/** Whether a process that cannot be seen from here still touches its file. */
export async function pulseOf(path: string, { pid, startedAt, namespace }: ProcessIdentity): Promise<Pulse> {
  const found = await look(path);
  if (!found) {
    seen.delete(path);
    return 'silent';
  }
  const { sign, ageMs } = found;
  const holder = `${pid} ${startedAt} ${namespace}`;
  if (ageMs > sinceBootMs() || (gone.has(holder) && ageMs > SILENCE_MS)) return 'silent';
  const before = seen.get(path);
  if (before?.sign !== sign) {
    gone.delete(holder);
    seen.set(path, { sign, sinceMs: performance.now(), hasBeaten: before !== undefined });
    return before ? 'beating' : 'unknown';
  }
  if (performance.now() - before.sinceMs < SILENCE_MS) return before.hasBeaten ? 'beating' : 'unknown';
  gone.add(holder);
  return 'silent';
}

/** A machine that was off has no process left of before. */
const sinceBootMs = (): number => uptime() * 1000;

async function look(path: string): Promise<{ readonly sign: string; readonly ageMs: number } | undefined> {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return { sign: `${ino} ${mtimeNs}`, ageMs: Date.now() - Number(mtimeNs / 1_000_000n) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
