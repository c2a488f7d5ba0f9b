import { appendFileSync } from 'node:fs';
import { HostLock } from '../../src/embedded/hosting/host-lock.ts';
import { sleep } from '../../src/util/sleep.ts';

/** Takes the lock of a folder, says from when to when it had it, and is killed without giving it back. */
const [folder = '', log = ''] = process.argv.slice(2);
for (;;) {
  const result = await HostLock.take(folder, 'broker');
  if (result.kind === 'taken') break;
  await sleep(1);
}
appendFileSync(log, `from ${process.pid}\n`);
await sleep(30);
appendFileSync(log, `to ${process.pid}\n`);
process.kill(process.pid, 'SIGKILL');
await sleep(60_000);
