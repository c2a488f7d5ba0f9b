import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const OURS = dirname(dirname(fileURLToPath(import.meta.url)));
const FRAME = /\(?((?:file:\/\/|\/|[A-Za-z]:\\)[^()]*?):\d+:\d+\)?$/;

/** The user's file that is calling into svc-comm now, relative to the working directory; undefined when it cannot be told. */
export function callSite(): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 8;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = limit;
  for (const line of stack.split('\n').slice(1)) {
    const place = FRAME.exec(line.trim())?.[1];
    if (place === undefined) continue;
    const file = place.startsWith('file:') ? fileURLToPath(place) : place;
    if (!file.startsWith(OURS)) return relative(process.cwd(), file) || file;
  }
  return undefined;
}
