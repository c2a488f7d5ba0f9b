import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test.skipIf(process.platform === 'win32')(
  'that a task’s processes have gone is found out in the end when there is no file descriptor left to look at them',
  async () => {
    const file = fileURLToPath(new URL('../support/no-descriptors-child.ts', import.meta.url));
    const command = ['-c', 'ulimit -n 100; exec "$@"', 'sh', process.execPath, '--import', 'tsx', file];
    const child = spawn('sh', command, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const [told] = await once(child, 'message');
    expect(told).toEqual({ code: 'EMFILE', gone: true });
  },
);
