import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A process of the service under test, its output in a file. */
export class Role {
  readonly name: string;
  readonly child: ChildProcess;
  readonly logFile: string;
  readonly exited: Promise<unknown>;

  /** @param folder for its log @param cwd of the service's project */
  constructor(name: string, args: readonly string[], env: NodeJS.ProcessEnv, folder: string, cwd: string) {
    this.name = name;
    this.logFile = join(folder, `${name}.log`);
    const log = createWriteStream(this.logFile, { flags: 'a' });
    this.child = spawn(process.execPath, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child.stdout?.pipe(log, { end: false });
    this.child.stderr?.pipe(log, { end: false });
    this.exited = once(this.child, 'exit');
    // A test run that is broken off must not leave it waiting for its servers.
    const end = () => this.child.kill('SIGKILL');
    process.once('exit', end);
    this.child.once('exit', () => process.off('exit', end));
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  get log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async kill9(): Promise<void> {
    this.child.kill('SIGKILL');
    if (this.isAlive) await this.exited;
  }

  /** Resolves when it sends one of these; a loader that shares the channel says other things. */
  async says<Word extends string>(...words: readonly Word[]): Promise<Word> {
    for (;;) {
      const [message] = await once(this.child, 'message');
      const said = words.find((word) => word === message);
      if (said !== undefined) return said;
    }
  }

  /** Has the producer write a burst in one transaction. */
  async burst(entries: number): Promise<void> {
    const answer = this.says('written', 'failed');
    this.child.send(entries);
    if ((await answer) === 'failed') throw new Error(`the burst failed:\n${this.log}`);
  }

  /** SIGTERM, and its exit code. */
  async stop(): Promise<number | null> {
    if (this.isAlive) {
      this.child.kill('SIGTERM');
      await this.exited;
    }
    return this.child.exitCode;
  }
}
