import { isAbsolute, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownFolder } from '../util/own-files.ts';

const OURS = ownFolder();
/** Compilers' decorator helpers stand between us and the user's file: tslib, oxc's runtime. */
const LIBRARY = /[\\/]node_modules[\\/]|oxc-project/;

/** The user's file that is calling into svc-comm now, relative to the working directory; undefined when it cannot be told. */
export function callSite(): string | undefined {
  for (const file of callers()) {
    const path = file.startsWith('file:') ? fileURLToPath(file) : file;
    if (isAbsolute(path) && !path.startsWith(OURS) && !LIBRARY.test(path)) return relative(process.cwd(), path);
  }
  return undefined;
}

/** Files of the stack. Structured, since reading the text would apply source maps to each frame: 70 us a call. */
function callers(): string[] {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 10;
    Error.prepareStackTrace = (_, frames) => frames.map((frame) => frame.getFileName() ?? '').filter(Boolean);
    const { stack }: { stack?: unknown } = new Error();
    return Array.isArray(stack) ? stack : [];
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    Error.prepareStackTrace = prepareStackTrace;
  }
}
