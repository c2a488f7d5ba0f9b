import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../lifecycle/logger.ts';
import type { InboxKey } from '../message/inbox.ts';
import { NO_START_MARK, type StartMark, type StartMarks } from '../message/start-marks.ts';

/**
 * Start marks as files, for services without a database: they hold for processes that are started again with the same
 * folder. One small file for each message; the write reaches the system before the handler runs, and survives the
 * process (a loss of power is not survived, but is no death that a message caused).
 */
export class FileStartMarks implements StartMarks {
  readonly #folder: string;
  readonly #logger: Logger;
  #hasWarned = false;

  /** @param folder made when it is first written to */
  constructor(folder: string, logger: Logger) {
    this.#folder = folder;
    this.#logger = logger;
  }

  /** Those of messages that never came back here. @returns how many were deleted */
  async deleteExpired(olderThanMs: number): Promise<number> {
    let deleted = 0;
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const file = join(this.#folder, name);
      const written = (await stat(file).catch(() => undefined))?.mtimeMs;
      if (written === undefined || Date.now() - written < olderThanMs) continue;
      await rm(file, { force: true });
      deleted += 1;
    }
    return deleted;
  }

  read(keys: readonly InboxKey[]): Promise<StartMark[]> {
    return Promise.all(
      keys.map(async (key) => {
        const mark = await this.#read(key);
        if (mark.isReturned && mark.starts === 0) await this.end(key);
        return mark;
      }),
    );
  }

  async begin(key: InboxKey): Promise<void> {
    const { starts } = await this.#read(key);
    await this.#write(key, { starts: starts + 1, isReturned: false });
  }

  end(key: InboxKey): Promise<void> {
    return rm(this.#file(key), { force: true });
  }

  async giveBack(keys: readonly InboxKey[], isBegun: boolean): Promise<void> {
    await Promise.all(
      keys.map(async (key) => {
        const { starts } = await this.#read(key);
        await this.#write(key, { starts: Math.max(0, starts - (isBegun ? 1 : 0)), isReturned: true });
      }),
    );
  }

  /** A file that cannot be read tells nothing. */
  async #read(key: InboxKey): Promise<StartMark> {
    try {
      const { starts, isReturned } = JSON.parse(await readFile(this.#file(key), 'utf8')) as Partial<StartMark>;
      return { starts: Number.isSafeInteger(starts) ? Number(starts) : 0, isReturned: isReturned === true };
    } catch {
      return NO_START_MARK;
    }
  }

  /**
   * Whole or not at all: half a file would tell nothing of the starts before. Where nothing can be written, messages are
   * handled all the same.
   */
  async #write(key: InboxKey, mark: StartMark): Promise<void> {
    const file = this.#file(key);
    try {
      await mkdir(this.#folder, { recursive: true });
      await writeFile(`${file}.${process.pid}`, JSON.stringify(mark));
      await rename(`${file}.${process.pid}`, file);
    } catch (error) {
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      const text = 'start marks cannot be written: a message that ends the process will not be found';
      this.#logger.warn({ error, folder: this.#folder }, text);
    }
  }

  #file({ queue, source, messageId }: InboxKey): string {
    const name = createHash('sha256')
      .update(JSON.stringify([queue, source, messageId]))
      .digest('hex');
    return join(this.#folder, `${name}.json`);
  }
}
