// Loaded before a process's own code: at its end it tells what it took, on descriptor 3. What getrusage tells as its largest
// size is that of the parent, when that was larger, so it is read from /proc.
const { readFileSync, writeSync } = require('node:fs');

process.once('exit', () => {
  const { user, system } = process.cpuUsage();
  let peakMiB;
  try {
    peakMiB = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
  } catch {}
  writeSync(3, JSON.stringify({ cpuMs: (user + system) / 1000, peakMiB }));
});
