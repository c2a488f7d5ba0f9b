/** A process with a guard and a busy process group under it, for the test that kills it. */
import { spawn } from 'node:child_process';
import { ProcessGuard } from '../../src/task/guard.ts';

const guard = new ProcessGuard();
const start = () => spawn('sh', ['-c', 'sleep 1000 & while :; do :; done'], { detached: true, stdio: 'ignore' });
const [kept, dropped] = [start(), start()];
for (const { pid } of [kept, dropped]) if (pid !== undefined) guard.add(pid);
if (dropped.pid !== undefined) guard.drop(dropped.pid);
process.send?.({ kept: kept.pid, dropped: dropped.pid });
setInterval(() => undefined, 1000);
