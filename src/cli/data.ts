import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { UsageError } from '../errors.ts';
import { messageOf } from '../util/thrown.ts';
import { inexactNumber } from '../wire/inexact-number.ts';

/**
 * The value of `--data`: JSON as it stands, `@FILE`, or `-` for standard input.
 * @throws UsageError (SVC_COMM_USAGE) for a file that cannot be read, what is no JSON, and what would not arrive as it is
 */
export async function readData(given: string): Promise<unknown> {
  const source = (await sourceOf(given)).replace(/^\uFEFF/, '');
  const what = given === '-' ? 'standard input' : given.startsWith('@') ? given.slice(1) : '--data';
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    throw new UsageError(`${what} is no JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const number = inexactNumber(source);
  if (number === undefined) return value;
  throw new UsageError(
    `${what} holds the number ${number.slice(0, 40)}, which has more digits than a double: quote it`,
  );
}

async function sourceOf(given: string): Promise<string> {
  if (given === '-') return text(process.stdin);
  if (!given.startsWith('@')) return given;
  try {
    return await readFile(given.slice(1), 'utf8');
  } catch (error) {
    throw new UsageError(`--data ${given}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
