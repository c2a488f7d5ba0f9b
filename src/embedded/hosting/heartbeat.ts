import { stat, utimes } from 'node:fs/promises';
import { uptime } from 'node:os';
import { Worker } from 'node:worker_threads';
import { codeOf } from '../../util/thrown.ts';
import type { ProcessIdentity } from './process-identity.ts';

const BEAT_MS = 1000;
/** Whoever does not touch its file for so long is gone, or stands still as a whole. */
export const SILENCE_MS = 15_000;
/** For a file that was touched last before the machine was started, or whose holder was silent elsewhere: some beats. */
const SHORT_SILENCE_MS = 3 * BEAT_MS;

/** The files of the locks that this process has. */
const paths = new Set<string>();

/** What touches them. */
interface Beat {
  pathsChanged(): void;
  end(): void;
}
let beat: Beat | undefined;

/** Shows by a file's time that a process lives, to those who cannot see it: to other containers with the same folder. */
export class Heartbeat {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  start(): void {
    paths.add(this.#path);
    beat ??= begin();
    beat.pathsChanged();
  }

  stop(): void {
    if (!paths.delete(this.#path)) return;
    beat?.pathsChanged();
    if (paths.size > 0) return;
    beat?.end();
    beat = undefined;
  }
}

/** Where no thread can be had (a limit of processes), it is the process itself, which may be held up. */
function begin(): Beat {
  try {
    return ofThread();
  } catch {
    return ofProcess();
  }
}

/** One statement of the embedded database, or a breakpoint, holds up everything else in a process for as long as it likes. */
function ofThread(): Beat {
  // Nothing of the process's own: a hook that it is started with would run in the thread, too.
  const worker = new Worker(THREAD, { eval: true, execArgv: [], env: {}, name: 'svc-comm heartbeat' });
  worker.unref();
  const own: Beat = {
    pathsChanged: () => worker.postMessage([...paths]),
    end: () => void worker.terminate(),
  };
  // Without room for it (open files, memory) it ends by itself.
  worker.on('error', () => undefined);
  worker.on('exit', () => {
    if (beat === own) beat = ofProcess();
  });
  return own;
}

const THREAD = `
const { parentPort } = require('node:worker_threads');
const { utimesSync } = require('node:fs');
let paths = [];
parentPort.on('message', (ours) => {
  paths = ours;
});
setInterval(() => {
  const now = new Date();
  for (const path of paths) {
    try {
      utimesSync(path, now, now);
    } catch {}
  }
}, ${BEAT_MS});
`;

function ofProcess(): Beat {
  const touch = (path: string) => {
    const now = new Date();
    // Of a file that is gone its owner hears elsewhere.
    utimes(path, now, now).catch(() => undefined);
  };
  const timer = setInterval(() => paths.forEach(touch), BEAT_MS).unref();
  return { pathsChanged: () => undefined, end: () => clearInterval(timer) };
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
/** Holders of which one file was silent: nobody waits as long for each of their files. */
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
  const before = seen.get(path);
  if (before?.sign !== sign) {
    if (before) gone.delete(holder);
    seen.set(path, { sign, sinceMs: performance.now(), hasBeaten: before !== undefined });
    return before ? 'beating' : 'unknown';
  }
  // Neither is more than a hint: clocks are set, and differ. What was seen to beat is given all the time.
  const isUnlikely = !before.hasBeaten && (gone.has(holder) || ageMs > uptime() * 1000);
  const patienceMs = isUnlikely ? SHORT_SILENCE_MS : SILENCE_MS;
  if (performance.now() - before.sinceMs < patienceMs) return before.hasBeaten ? 'beating' : 'unknown';
  gone.add(holder);
  return 'silent';
}

async function look(path: string): Promise<{ readonly sign: string; readonly ageMs: number } | undefined> {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return { sign: `${ino} ${mtimeNs}`, ageMs: Date.now() - Number(mtimeNs / 1_000_000n) };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
