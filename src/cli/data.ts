import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { UsageError } from '../errors.ts';

/**
 * The value of `--data`: JSON as it stands, `@FILE`, or `-` for standard input.
 * @throws UsageError (SVC_COMM_USAGE) for a file that cannot be read, and what is no JSON
 */
export async function readData(given: string): Promise<unknown> {
  const source = await sourceOf(given);
  try {
    return JSON.parse(source.replace(/^\uFEFF/, ''));
  } catch (error) {
    const what = given === '-' ? 'standard input' : given.startsWith('@') ? given.slice(1) : '--data';
    throw new UsageError(`${what} is no JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

async function sourceOf(given: string): Promise<string> {
  if (given === '-') return text(process.stdin);
  if (!given.startsWith('@')) return given;
  try {
    return await readFile(given.slice(1), 'utf8');
  } catch (error) {
    throw new UsageError(`--data ${given}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}
