import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'examples/04-rest');

it('examples/04-rest, run against the built package, prints what stands in expected.txt, and ends', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--import', 'tsx', join(folder, 'main.ts')], {
    cwd: root,
    timeout: 60_000,
  });
  expect(stdout).toBe(await readFile(join(folder, 'expected.txt'), 'utf8'));
  expect(stderr).toBe('');
});
