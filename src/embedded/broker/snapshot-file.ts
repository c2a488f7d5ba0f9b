import { open, readFile, rename } from 'node:fs/promises';
import { SettingsError } from '../../errors.ts';
import type { Logger } from '../../lifecycle/logger.ts';
import { isSnapshot, type Snapshot } from './snapshot.ts';

/** Changes are written at most this often, and a write that takes long makes the next wait ten times as long. */
const WRITE_EVERY_MS = 1000;

/**
 * Keeps the snapshot's file up to date: written beside it, flushed, then renamed over it, so that the file is whole
 * whenever the process dies. What changed since the last write is lost then, at most about a second.
 */
export class SnapshotFile {
  readonly #path: string;
  readonly #take: () => Snapshot;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #waitMs = WRITE_EVERY_MS;

  constructor(path: string, take: () => Snapshot, logger: Logger) {
    this.#path = path;
    this.#take = take;
    this.#logger = logger;
  }

  /**
   * @returns `undefined` when there is no file yet
   * @throws SettingsError (SVC_COMM_SETTINGS) when the file is no snapshot: it is never overwritten then
   */
  async load(): Promise<Snapshot | undefined> {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const snapshot = parse(text);
    if (isSnapshot(snapshot)) return snapshot;
    throw new SettingsError([
      {
        setting: 'snapshotFile',
        expected: 'a snapshot written by the embedded broker; move the file away to start empty',
        got: this.#path,
        from: 'options',
      },
    ]);
  }

  /** Something changed: it will be written soon. */
  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#write()).catch((error: unknown) => this.#failed(error));
    }, this.#waitMs);
  }

  /** Writes the last state. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    await this.#write();
  }

  async #write(): Promise<void> {
    const started = performance.now();
    const text = JSON.stringify(this.#take());
    const draft = `${this.#path}.${process.pid}.tmp`;
    const file = await open(draft, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, this.#path);
    this.#waitMs = Math.max(WRITE_EVERY_MS, 10 * (performance.now() - started));
  }

  #failed(error: unknown): void {
    this.#logger.error({ error, file: this.#path }, 'embedded broker: the snapshot could not be written');
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
