import { stat, utimes } from 'node:fs/promises';
import { codeOf } from '../../util/thrown.ts';

const BEAT_MS = 1000;
/** A host may be busy with one statement for so long, and its machine with other things. */
export const SILENCE_MS = 15_000;

/** Shows by a file's time that a process lives, to those who cannot see it: to other containers with the same folder. */
export class Heartbeat {
  readonly #path: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      const now = new Date();
      // Of a file that is gone its owner hears elsewhere.
      utimes(this.#path, now, now).catch(() => undefined);
    }, BEAT_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** What was seen of a file, and since when, on the monotonic clock: two machines' clocks may say different times. */
const seen = new Map<string, { readonly sign: string; readonly sinceMs: number }>();

/** Whether somebody still touches the file. Whoever asks for the first time cannot know that nobody does: ask again. */
export async function isBeating(path: string): Promise<boolean> {
  const sign = await signOf(path);
  const before = seen.get(path);
  if (sign === undefined) {
    seen.delete(path);
    return false;
  }
  if (before?.sign === sign) return performance.now() - before.sinceMs < SILENCE_MS;
  seen.set(path, { sign, sinceMs: performance.now() });
  return true;
}

async function signOf(path: string): Promise<string | undefined> {
  try {
    const { ino, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${mtimeNs}`;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
