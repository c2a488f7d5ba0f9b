import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';

/** Whether somebody can be asked: both ends are a terminal. */
export const canAsk = (): boolean => process.stdin.isTTY && process.stderr.isTTY;

export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

/** Asks on the terminal. @returns true for y or yes; false also for who leaves, by Ctrl-C or Ctrl-D */
export async function ask(
  question: string,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<boolean> {
  const terminal = createInterface({ input, output });
  const left = once(terminal, 'close').then(() => '');
  try {
    // Its own promise rejects then, or stays open: that depends on Node's version, and on what the input is.
    const answer = await Promise.race([terminal.question(`${question} [y/N] `).catch(() => ''), left]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
