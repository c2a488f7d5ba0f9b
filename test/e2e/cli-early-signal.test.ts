import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { bin, CliProject } from '../support/cli-project.ts';

/** It is loaded before anything of a command waits for signals, and takes for ever. */
const project = new CliProject({
  'svc-comm.config.mjs': `
console.log('loading settings');
await new Promise((resolve) => setTimeout(resolve, 3_600_000));
export default {};
`,
});
afterAll(() => project.remove());

/** As a container has it: process 1 of a namespace of its own. */
const NAMESPACE = [
  '--fork',
  '--pid',
  '--kill-child',
  ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
];
const hasNamespaces = (() => {
  try {
    execFileSync('unshare', [...NAMESPACE, 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

it('a command that is asked to stop while it starts ends by that signal', async () => {
  const running = project.start([bin, 'runpublisher']);
  await running.line('loading settings');
  await running.stop();
  expect(running.child.signalCode).toBe('SIGTERM');
});

it.skipIf(!hasNamespaces)(
  'as process 1, to which a signal without a handler is not delivered, it ends as well',
  async () => {
    const script = `const { spawn } = require('node:child_process');
    const child = spawn('unshare', ${JSON.stringify(NAMESPACE)}.concat(process.execPath, ${JSON.stringify(bin)}, 'runpublisher'), { stdio: 'inherit' });
    child.on('exit', (code) => process.exit(code ?? 1));
    console.log('unshare is ' + child.pid);`;
    const running = project.start(['-e', script]);
    const unshare = /unshare is (\d+)/.exec(await running.line('unshare is'))?.[1];
    await running.line('loading settings');
    const [first] = readFileSync(`/proc/${unshare}/task/${unshare}/children`, 'utf8').trim().split(' ');
    process.kill(Number(first), 'SIGTERM');
    expect(await running.exit).toBe(128 + 15);
  },
);
