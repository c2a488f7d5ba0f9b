import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Processes of this machine for which a look at their folder in /proc says yes. One that ends meanwhile is none. */
function processesWhere(is: (folder: string) => boolean): number[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      return /^\d+$/.test(name) && is(`/proc/${name}`) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

/** Those with this text in their command line. */
export const processesWith = (mark: string): number[] =>
  processesWhere((folder) => readFileSync(`${folder}/cmdline`, 'utf8').includes(mark));

/** Those whose working directory it is. */
export const processesIn = (folder: string): number[] => processesWhere((of) => readlinkSync(`${of}/cwd`) === folder);

/** Children of a process, theirs, and so on. */
export function descendants(of: number): number[] {
  const children = processesWhere(
    (folder) => Number(/\) \S (\d+)/.exec(readFileSync(`${folder}/stat`, 'utf8'))?.[1]) === of,
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Whether it runs. One that has ended, and that its parent has not asked for yet, does not, though it takes signals. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
