/** A process that has no file descriptor left while it waits for a killed group to go. Tells its parent what came of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { ProcessTree } from '../../src/task/process-tree.ts';

const leader = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
await once(leader, 'spawn');
let code: string | undefined;
while (code === undefined) {
  try {
    openSync('/dev/null', 'r');
  } catch (error) {
    ({ code } = error as NodeJS.ErrnoException);
  }
}
const gone = await new ProcessTree(leader.pid ?? 0, 'group').gone().catch(String);
process.send?.({ code, gone }, () => process.disconnect());
