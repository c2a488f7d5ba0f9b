import { execFile } from 'node:child_process';

/**
 * How surely a task's processes end.
 * - `namespace`: it has a PID namespace of its own: when its first process ends, the kernel ends all others, whatever they
 *   did to get away, and also when the worker was killed. Where /proc can be mounted it sees no process but its own.
 * - `group`: it has a process group of its own, and a guard ends the group when the worker was killed. A process that
 *   leaves the group (`setsid`) is not ended.
 */
export const ISOLATION_LEVELS = ['namespace', 'group'] as const;
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

export interface Isolation {
  readonly level: IsolationLevel;
  /** What is put before the command of a task's process. */
  readonly command: readonly string[];
  /** Why it is not better; undefined when it is the best. */
  readonly why?: string | undefined;
}

/**
 * The signal for the parent's death goes to `unshare`, whose own is passed on to its child: a chain that no handler of
 * ours has to run for. As another user than root a user namespace is needed to be allowed a PID namespace.
 */
const NAMESPACES: readonly (readonly string[])[] = [
  ['--pid', '--fork', '--kill-child', '--mount-proc'],
  ['--user', '--map-current-user', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ['--pid', '--fork', '--kill-child'],
  ['--user', '--map-current-user', '--pid', '--fork', '--kill-child'],
];

const PROBE_MS = 5_000;

let measured: Promise<Isolation> | undefined;

/** The best level that this machine can do, found out by doing it; once for a process. */
export function measureIsolation(): Promise<Isolation> {
  measured ??= measure();
  return measured;
}

async function measure(): Promise<Isolation> {
  let why = 'only Linux has PID namespaces';
  if (process.platform !== 'linux') return { level: 'group', command: [], why };
  for (const options of NAMESPACES) {
    const command = ['setpriv', '--pdeathsig', 'KILL', 'unshare', ...options, '--'];
    const problem = await problemOf([...command, 'true']);
    if (problem === undefined) return { level: 'namespace', command };
    why = problem;
  }
  return { level: 'group', command: [], why };
}

/** @returns what the command said when it failed */
function problemOf([command = '', ...args]: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, [...args], { timeout: PROBE_MS }, (error, _stdout, stderr) => {
      resolve(error ? stderr.trim().split('\n').at(-1) || error.message : undefined);
    });
  });
}
