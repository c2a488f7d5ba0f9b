import { execFileSync } from 'node:child_process';

/**
 * How much slower this machine is at the moment than one where Node starts in 100 ms, at least 1: what a limit of time is
 * multiplied by, so that a test tells a slow machine from slow code.
 */
export function slowness(): number {
  const started = performance.now();
  execFileSync(process.execPath, ['-e', '0']);
  return Math.max(1, (performance.now() - started) / 100);
}
