import { readdirSync, readFileSync } from 'node:fs';
import { sleep } from '../util/sleep.ts';
import { codeOf } from '../util/thrown.ts';
import type { IsolationLevel } from './isolation.ts';

/** How often it is looked whether a killed group has gone. */
const LOOK_MS = 5;
/** The kernel ends what was sent SIGKILL; a process in uninterruptible sleep makes it wait. */
const GONE_MS = 2_000;

/** The processes of one task: the one that we started, and all that came of it. */
export class ProcessTree {
  readonly #leader: number;
  readonly #level: IsolationLevel;

  /** @param leader leads a process group of its own; in a namespace it is `unshare`, and its child is the first process */
  constructor(leader: number, level: IsolationLevel) {
    this.#leader = leader;
    this.#level = level;
  }

  /** The process that runs the task, as the machine numbers it; undefined before it exists, or when it has gone. */
  get mainPid(): number | undefined {
    if (this.#level === 'group') return this.#leader;
    try {
      const children = readFileSync(`/proc/${this.#leader}/task/${this.#leader}/children`, 'utf8');
      const pid = Number.parseInt(children, 10);
      return Number.isNaN(pid) ? undefined : pid;
    } catch {
      return undefined;
    }
  }

  /** Resident memory of the main process, in bytes; undefined where /proc does not tell. */
  get residentBytes(): number | undefined {
    const pid = this.mainPid;
    if (pid === undefined || process.platform !== 'linux') return undefined;
    try {
      const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      return kib === undefined ? undefined : Number(kib) * 1024;
    } catch {
      return undefined;
    }
  }

  /**
   * What the main process and those that it has started take. Memory that several share is counted once: of the others
   * only what is their own. Nothing where /proc does not tell.
   * @param most processes; above it no more are counted
   */
  usage(most: number): { readonly processes: number; readonly bytes: number } {
    const main = this.mainPid;
    if (main === undefined || process.platform !== 'linux') return { processes: 0, bytes: 0 };
    const pids = [main];
    let bytes = this.residentBytes ?? 0;
    // It grows while it is gone through.
    for (const pid of pids) {
      if (pid !== main) bytes += ownBytes(pid);
      if (pids.length <= most) pids.push(...childrenOf(pid));
    }
    return { processes: pids.length, bytes };
  }

  /** To the whole group. `unshare` leaves the signal to its child. */
  terminate(): void {
    signalGroup(this.#leader, 'SIGTERM');
  }

  /**
   * To the namespace's first process, with which the kernel ends the others before `unshare` is told; and to the group,
   * for what is not there yet.
   */
  kill(): void {
    const main = this.mainPid;
    if (this.#level === 'namespace' && main !== undefined) signal(main, 'SIGKILL');
    else signalGroup(this.#leader, 'SIGKILL');
  }

  /** Resolves when nothing of the group is left. @returns false: something is, after two seconds */
  async gone(): Promise<boolean> {
    for (const endMs = performance.now() + GONE_MS; performance.now() < endMs; await sleep(LOOK_MS)) {
      if (!signalGroup(this.#leader, 'SIGKILL') || !hasLiving(this.#leader)) return true;
    }
    return false;
  }
}

/** Each thread has a list of those that it has started. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
      const list = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').trim();
      return list === '' ? [] : list.split(' ').map(Number);
    });
  } catch {
    return [];
  }
}

/** Resident memory that belongs to no file; 0 when it has gone. */
function ownBytes(pid: number): number {
  try {
    return Number(/^RssAnon:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** @returns true as well where it cannot be seen: it is looked again */
function hasLiving(group: number): boolean {
  if (process.platform !== 'linux') return true;
  try {
    return readdirSync('/proc').some((pid) => /^\d+$/.test(pid) && isLivingOf(group, pid));
  } catch {
    return true;
  }
}

/** One that has ended and that nobody has waited for still takes signals: whose parent is gone waits for process 1. */
function isLivingOf(group: number, pid: string): boolean {
  try {
    // Behind the name, which may hold anything: state, parent, group.
    const [, state, , of] = /^.*\) (\S) (\d+) (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return Number(of) === group && state !== 'Z' && state !== 'X';
  } catch (error) {
    // Without a file descriptor left nothing is known of it; else it has gone, or is hidden, and so not ours.
    if (NO_DESCRIPTOR.has(codeOf(error))) throw error;
    return false;
  }
}

/** Of this process, and of the machine. */
const NO_DESCRIPTOR: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE']);

const signalGroup = (leader: number, name: NodeJS.Signals): boolean => signal(-leader, name);

/** @returns whether there was anybody to get it */
function signal(pid: number, name: NodeJS.Signals): boolean {
  // 0 is our own group, 1 and -1 are everybody.
  if (Math.abs(pid) <= 1) return false;
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}
