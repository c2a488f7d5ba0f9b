import { type ChildProcess, spawn } from 'node:child_process';

/** Keeps a list of process groups from its input; at the input's end, which is the worker's, it kills them. */
const SCRIPT = `groups=''
while read -r word group; do
  case $word in
    add) groups="$groups $group" ;;
    drop) kept=''; for g in $groups; do [ "$g" = "$group" ] || kept="$kept $g"; done; groups=$kept ;;
  esac
done
for g in $groups; do kill -s KILL -- "-$g"; done`;

/**
 * A shell that outlives a worker that was killed, to kill the process groups of its tasks: a task that is busy does not
 * notice by itself. Only needed where there is no PID namespace.
 */
export class ProcessGuard {
  readonly #shell: ChildProcess;

  constructor() {
    this.#shell = spawn('sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    // Without a shell the tasks' processes still end when they notice by themselves.
    this.#shell.on('error', () => undefined);
    this.#shell.stdin?.on('error', () => undefined);
    this.#shell.unref();
  }

  add(group: number): void {
    this.#shell.stdin?.write(`add ${group}\n`);
  }

  drop(group: number): void {
    this.#shell.stdin?.write(`drop ${group}\n`);
  }

  /** Kills what is on the list, and ends. */
  close(): void {
    this.#shell.stdin?.end();
  }
}
