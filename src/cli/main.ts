/** For what the command has told OpenTelemetry, when its collector is down. */
const FLUSH_MS = 2_000;

/**
 * Runs the command line and ends the process: 0 fine, 1 failed or unhealthy, 2 wrong usage or settings. Help and version
 * load nothing else, the rest is imported by the command that needs it.
 */
export async function main(args: readonly string[]): Promise<void> {
  let exitCode: number | undefined;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // Who reads it has seen enough, as `head` has: the command does its work all the same.
    if (error.code === 'EPIPE') return;
    if (exitCode === undefined) process.stderr.write(`svc-comm: standard output cannot be written: ${error.message}\n`);
    exitCode = 1;
  });
  // What was to be said there is lost; the work and its exit code are not.
  process.stderr.on('error', () => undefined);
  process.exitCode = await run(args);
  // What the user's files left open (timers, pools) must not keep a finished command alive; the output is written first.
  // A write that failed calls back before its stream says so.
  process.stdout.write('', () => setImmediate(() => process.exit(process.exitCode || exitCode || 0)));
}

async function run(args: readonly string[]): Promise<number> {
  const [first, second] = args;
  if (second === undefined) {
    if (first === '--help' || first === '-h' || first === 'help') return print((await import('./help-text.ts')).HELP);
    if (first === '--version' || first === '-V') return print(`${(await import('./version.ts')).version()}\n`);
  }
  (await import('./early-signals.ts')).endAtEarlySignals();
  const exitCode = await (await import('./program.ts')).runProgram(args);
  await (await import('../telemetry/flush.ts')).flushOpenTelemetry(FLUSH_MS);
  return exitCode;
}

function print(text: string): 0 {
  process.stdout.write(text);
  return 0;
}
