import { execFile } from 'node:child_process';
import { readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { codeOf } from '../../util/thrown.ts';

/** A process, told from a later one that was given the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it began, in words of the operating system; empty where that is not known. */
  readonly startedAt: string;
  /** Within which the number means this process: of containers each has its own; undefined where there are none. */
  readonly namespace?: string;
}

export async function ownIdentity(): Promise<ProcessIdentity> {
  const namespace = await ownNamespace();
  const startedAt = (await look(process.pid)) ?? '';
  return { pid: process.pid, startedAt, ...(namespace === undefined ? {} : { namespace }) };
}

/** Whether its number means the same process here: from another container it says nothing. */
export async function isInSight({ namespace }: ProcessIdentity): Promise<boolean> {
  return namespace === undefined || namespace === (await ownNamespace());
}

/** pid_namespaces(7). The kernel gives the first one the same number at each boot, and on each machine. */
async function ownNamespace(): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  const number = await readlink('/proc/self/ns/pid').catch(unlessOutOfRoom);
  return number === undefined ? undefined : `${await bootId()} ${number}`;
}

const bootId = async (): Promise<string> =>
  ((await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(unlessOutOfRoom)) ?? '').trim();

/** Whether that process, which is in sight, still runs. @throws when this one has no open files or memory left to look */
export async function isRunning({ pid, startedAt }: ProcessIdentity): Promise<boolean> {
  if (!exists(pid)) return false;
  const now = await look(pid);
  return now !== undefined && (startedAt === '' || now === startedAt);
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It runs, and is somebody else's.
    return codeOf(error) === 'EPERM';
  }
}

/** @returns undefined when there is no such process, or only what its parent has not collected yet */
async function look(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') return lookInProc(pid);
  if (process.platform === 'win32') return '';
  return lookWithPs(pid);
}

/** proc(5): the state is the field behind the name in brackets, the start time the 22nd of all. */
async function lookInProc(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(unlessOutOfRoom);
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  // Start times are counted from the boot.
  return `${await bootId()} ${fields[19]}`;
}

/** Who asks has no room for it: that says nothing of the process, which must not be taken for one that has ended. */
const OUT_OF_ROOM: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

function unlessOutOfRoom(error: unknown): undefined {
  if (OUT_OF_ROOM.has(codeOf(error))) throw error;
}

async function lookWithPs(pid: number): Promise<string | undefined> {
  // `lstart` is in the time zone and the language of who asks: the processes of a folder need not have the same.
  const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C' };
  try {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { env });
    const [state = '', ...start] = stdout.trim().split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : start.join(' ');
  } catch (error) {
    return unlessOutOfRoom(error);
  }
}
