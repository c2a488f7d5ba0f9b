import { randomUUID } from 'node:crypto';
import {
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  truncate,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../util/sleep.ts';
import { codeOf } from '../../util/thrown.ts';
import { Heartbeat, type Pulse, pulseOf, SILENCE_MS } from './heartbeat.ts';
import { isInSight, isRunning, ownIdentity, type ProcessIdentity } from './process-identity.ts';

/** What the lock file says about the process that serves. */
export interface HostRecord extends ProcessIdentity {
  /** `released`: it has stopped serving, and has written all down. */
  readonly state: 'starting' | 'serving' | 'released';
  /** Where it serves, and what it serves or served on before. */
  readonly url?: string;
  readonly port?: number;
  /** The folder that it serves, by its path and by its number in the file system. */
  readonly folder?: { readonly path: string; readonly inode: string };
  /** Tells this taking of the lock from all others. */
  readonly id?: string;
}

export type LockResult =
  | { readonly kind: 'taken'; readonly lock: HostLock; readonly previous: HostRecord | undefined }
  /** `isSure`: it lives. Of a process that cannot be seen from here that is known when its file was looked at twice. */
  | { readonly kind: 'held'; readonly record: HostRecord; readonly isSure: boolean };

export type Holder = Omit<Extract<LockResult, { kind: 'held' }>, 'kind'>;

type Identity = ProcessIdentity & Required<Pick<HostRecord, 'folder' | 'id'>>;

/**
 * Ids of locks that this process wanted to give away and could not write so (too many open files): they say still that it
 * serves, and it would join itself.
 */
const givenUp = new Set<string>();

/** How often it is looked whether the holder lives, and how much longer than it would have to be silent. */
const LOOK_MS = 200;
const KNOWN_MS = 1000;

/** A lock file without content: whoever made it is writing it at this moment, or died in between. */
const WRITING_MS = 2000;

/**
 * The right to serve in a folder, or to write a file of it. The lock is the file with the highest number, `NAME.N.lock`.
 * It is held while the process that it names runs and has not released it; then whoever makes the file N + 1 has the
 * lock. Of a process that cannot be seen from here (in another container, or outside of this one) it is held while the
 * file is touched. Making a file is atomic, and the highest is never removed, so that two processes that find the same dead host
 * cannot both win.
 */
export class HostLock {
  readonly #folder: string;
  readonly #name: string;
  readonly #number: number;
  readonly #identity: Identity;
  readonly #heartbeat: Heartbeat;

  private constructor(folder: string, name: string, number: number, identity: Identity) {
    this.#folder = folder;
    this.#name = name;
    this.#number = number;
    this.#identity = identity;
    this.#heartbeat = new Heartbeat(this.#path);
  }

  /** Takes the lock, or says who has it. */
  static async take(folder: string, name: string): Promise<LockResult> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const identity = { ...(await ownIdentity()), folder: await lookAt(folder), id: randomUUID() };
    for (;;) {
      const latest = await readLatest(folder, name);
      const held = latest && (await holderOf(latest, folder));
      if (held) return { kind: 'held', ...held };
      const number = (latest?.number ?? 0) + 1;
      const lock = new HostLock(folder, name, number, identity);
      if (!(await lock.#create(latest?.record.port))) continue;
      // While we looked another may have taken the lock, and removed the numbers before its own: ours was one of them.
      if (await lock.#isOvertaken()) {
        await unlink(lock.#path).catch(() => undefined);
        continue;
      }
      await lock.#removeOlder().catch(() => undefined);
      lock.#heartbeat.start();
      return { kind: 'taken', lock, previous: latest?.record };
    }
  }

  /**
   * The same, but of a holder that cannot be seen from here it waits to know whether it lives: that takes 15 s.
   * @param signal ends the wait, with what is known by then
   */
  static async takeWhenKnown(folder: string, name: string, signal: AbortSignal): Promise<LockResult> {
    const giveUpMs = performance.now() + SILENCE_MS + KNOWN_MS;
    for (;;) {
      const result = await HostLock.take(folder, name);
      if (result.kind === 'taken' || result.isSure || signal.aborted || performance.now() > giveUpMs) return result;
      await sleep(LOOK_MS, signal);
    }
  }

  /** The host of this moment; undefined when nobody serves. */
  static async holder(folder: string, name: string): Promise<Holder | undefined> {
    const latest = await readLatest(folder, name);
    return latest && holderOf(latest, folder);
  }

  /** Says where this process serves. */
  async serving(url: string, port: number): Promise<void> {
    await this.#write({ ...this.#identity, state: 'serving', url, port });
  }

  /**
   * Whether it is still ours: not when somebody removed the folder. In one that was made anew the numbers begin anew.
   * @throws when it cannot be looked at (too many open files), which says nothing
   */
  async isOurs(): Promise<boolean> {
    const latest = await readLatest(this.#folder, this.#name);
    return latest?.number === this.#number && latest.record.id === this.#identity.id;
  }

  /** Gives it away. Call it when all is written down. @param port for whoever serves next */
  async release(port: number | undefined): Promise<void> {
    this.#heartbeat.stop();
    try {
      if (await this.isOurs()) await this.#giveAway(port);
    } catch (error) {
      givenUp.add(this.#identity.id);
      throw error;
    }
  }

  async #giveAway(port: number | undefined): Promise<void> {
    try {
      await this.#write({ ...this.#identity, state: 'released', ...(port === undefined ? {} : { port }) });
    } catch {
      await this.#empty();
    }
  }

  /** Where nothing can be written (a full disk), a lock without content is free: it is what one leaves who died. */
  async #empty(): Promise<void> {
    await truncate(this.#path);
    await utimes(this.#path, 0, 0);
  }

  /** Where that cannot be looked at, nobody shall wait for it. */
  async #isOvertaken(): Promise<boolean> {
    try {
      return ((await numbersIn(this.#folder, this.#name)).at(-1) ?? 0) > this.#number;
    } catch (error) {
      await this.#giveAway(undefined).catch(() => givenUp.add(this.#identity.id));
      throw error;
    }
  }

  get #path(): string {
    return pathOf(this.#folder, this.#name, this.#number);
  }

  async #create(port: number | undefined): Promise<boolean> {
    const record: HostRecord = { ...this.#identity, state: 'starting', ...(port === undefined ? {} : { port }) };
    try {
      await writeFile(this.#path, JSON.stringify(record), { flag: 'wx', mode: 0o600 });
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  async #write(record: HostRecord): Promise<void> {
    const draft = `${this.#path}.tmp`;
    try {
      await writeFile(draft, JSON.stringify(record), { mode: 0o600 });
      await rename(draft, this.#path);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async #removeOlder(): Promise<void> {
    for (const number of await numbersIn(this.#folder, this.#name)) {
      if (number < this.#number) await unlink(pathOf(this.#folder, this.#name, number)).catch(() => undefined);
    }
  }
}

/** Not written anew where it stands: a full disk would leave it empty. */
export async function hideFromGit(folder: string): Promise<void> {
  const file = join(folder, '.gitignore');
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size === 0) await writeFile(file, '*\n');
}

const pathOf = (folder: string, name: string, number: number): string => join(folder, `${name}.${number}.lock`);

/** undefined: nobody has it any more. */
async function holderOf({ record, path }: FoundLock, folder: string): Promise<Holder | undefined> {
  if (record.state === 'released' || (record.id !== undefined && givenUp.has(record.id))) return undefined;
  const pulse = await pulseAt(record, path);
  if (pulse === 'silent' || (await isCopied(record, folder))) return undefined;
  return { record, isSure: pulse === 'beating' };
}

async function pulseAt(record: HostRecord, path: string): Promise<Pulse> {
  if (!(await isInSight(record))) return pulseOf(path, record);
  return (await isRunning(record)) ? 'beating' : 'silent';
}

/** A folder that was copied while it was served has its lock: the process serves the other one. */
async function isCopied(record: HostRecord, folder: string): Promise<boolean> {
  if (record.folder === undefined) return false;
  const here = await lookAt(folder).catch(() => record.folder);
  if (here === undefined) return false;
  // One that was moved keeps its number, and where numbers do not last its path tells.
  return record.folder.path !== here.path && record.folder.inode !== here.inode;
}

async function lookAt(folder: string): Promise<{ readonly path: string; readonly inode: string }> {
  const { dev, ino } = await stat(folder, { bigint: true });
  return { path: await realpath(folder), inode: `${dev}:${ino}` };
}

/** Whoever cannot look (too many open files) has not seen that nobody holds the lock. */
function unlessMissing(error: unknown): undefined {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/** In ascending order. */
async function numbersIn(folder: string, name: string): Promise<number[]> {
  const files = (await readdir(folder).catch(unlessMissing)) ?? [];
  return files
    .filter((file) => file.startsWith(`${name}.`) && file.endsWith('.lock'))
    .map((file) => Number(file.slice(name.length + 1, -'.lock'.length)))
    .filter((number) => Number.isSafeInteger(number) && number > 0)
    .sort((a, b) => a - b);
}

interface FoundLock {
  readonly number: number;
  readonly path: string;
  readonly record: HostRecord;
}

async function readLatest(folder: string, name: string): Promise<FoundLock | undefined> {
  const number = (await numbersIn(folder, name)).at(-1);
  if (number === undefined) return undefined;
  const path = pathOf(folder, name, number);
  const text = (await readFile(path, 'utf8').catch(unlessMissing)) ?? '';
  const record = parse(text) ?? (await unfinished(path));
  return { number, path, record };
}

/** Held by nobody knows whom for as long as writing a file takes. */
async function unfinished(path: string): Promise<HostRecord> {
  const found = await stat(path).catch(unlessMissing);
  const isFresh = Date.now() - (found?.mtimeMs ?? 0) < WRITING_MS;
  return { pid: process.pid, startedAt: '', state: isFresh ? 'starting' : 'released' };
}

function parse(text: string): HostRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is HostRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, startedAt, state } = value as Partial<Record<keyof HostRecord, unknown>>;
  return Number.isInteger(pid) && typeof startedAt === 'string' && typeof state === 'string';
}
