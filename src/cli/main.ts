/**
 * Runs the command line and ends the process: 0 fine, 1 failed or unhealthy, 2 wrong usage or settings. Help and version
 * load nothing else, the rest is imported by the command that needs it.
 */
export async function main(args: readonly string[]): Promise<void> {
  process.exitCode = await run(args);
  // What the user's files left open (timers, pools) must not keep a finished command alive; the output is written first.
  process.stdout.write('', () => process.exit());
}

async function run(args: readonly string[]): Promise<number> {
  const [first, second] = args;
  if (second === undefined) {
    if (first === '--help' || first === '-h' || first === 'help') return print((await import('./help-text.ts')).HELP);
    if (first === '--version' || first === '-V') return print(`${(await import('./version.ts')).version()}\n`);
  }
  return (await import('./program.ts')).runProgram(args);
}

function print(text: string): 0 {
  process.stdout.write(text);
  return 0;
}
