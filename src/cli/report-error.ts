import { maskJson, maskUrl } from '../util/mask.ts';
import { isError } from '../util/thrown.ts';
import { printable } from './printable.ts';

/** Codes of what is wrong before any server was asked: usage, settings, the registrations of consumers. */
const WRONG_USE: ReadonlySet<unknown> = new Set([
  'SVC_COMM_USAGE',
  'SVC_COMM_SETTINGS',
  'SVC_COMM_INVALID_ARGUMENT',
  'SVC_COMM_INVALID_NAME',
  'SVC_COMM_NO_CONSUMERS',
  'SVC_COMM_UNREGISTERED_CONSUMER',
  'SVC_COMM_DUPLICATE_CONSUMER',
  'SVC_COMM_INVALID_CONSUMER',
  'SVC_COMM_NO_TASKS',
  'SVC_COMM_UNKNOWN_TASK',
  'SVC_COMM_DUPLICATE_TASK',
  'SVC_COMM_INVALID_TASK_ARGUMENTS',
  'SVC_COMM_PROCESS_DEFINITION',
  'SVC_COMM_DUPLICATE_PROCESS',
  'SVC_COMM_UNKNOWN_PROCESS',
  'SVC_COMM_INVALID_PROCESS_INPUT',
  'SVC_COMM_OPEN_ADDRESS',
]);

/** 2 for wrong usage or settings, else 1. A file that did not load counts as what was wrong in it. */
export function exitCodeOf(error: unknown): 1 | 2 {
  if (WRONG_USE.has(codeOf(error))) return 2;
  const isLoad = isError(error) && codeOf(error) === 'SVC_COMM_MODULE_LOAD';
  return isLoad && WRONG_USE.has(codeOf(error.cause)) ? 2 : 1;
}

export interface ReportOptions {
  /** `runconsumer`; undefined: none was recognised. */
  readonly command?: string | undefined;
  readonly isJson: boolean;
  /** At debug level. */
  readonly withStack: boolean;
}

/**
 * An error as one block: for people without a stack, or `{ "error": { "code", "message", … } }` with the error's own
 * fields. Ends with a line break; every URL in it is masked.
 */
export function errorReport(error: unknown, { command, isJson, withStack }: ReportOptions): string {
  const { name, message, stack } = isError(error) ? error : new Error(String(error));
  const code = codeOf(error);
  if (isJson) {
    const own = isError(error) ? { ...error, name: undefined, cause: undefined } : {};
    const said = { code: code ?? name, message, ...(withStack ? { stack } : {}) };
    return maskJson(`${asJson({ error: { ...said, ...own } }) ?? asJson({ error: said })}\n`);
  }
  const who = command === undefined ? 'svc-comm' : `svc-comm ${command}`;
  const page = code?.startsWith('SVC_COMM_') ? ', see docs/errors.md' : '';
  const theirs = textOf(error, 'remoteCode');
  const remote = theirs === undefined ? '' : `; the callee's code: ${theirs}`;
  const title = code === undefined ? message : `${message}\n  ${code}${page}${remote}`;
  return maskUrl(printable(`${who}: ${title}\n${withStack ? stackOf(error) : ''}`));
}

/** Undefined for fields that JSON cannot carry, as errors of other libraries have them: a socket, a BigInt. */
function asJson(report: object): string | undefined {
  try {
    return JSON.stringify(report);
  } catch {
    return undefined;
  }
}

function stackOf(error: unknown): string {
  const lines: string[] = [];
  for (let one = error; isError(one); one = one.cause) {
    lines.push(`${lines.length > 0 ? 'caused by ' : ''}${one.stack ?? one.message}`);
  }
  return lines.length > 0 ? `\n${lines.join('\n')}\n` : '';
}

const codeOf = (error: unknown): string | undefined => textOf(error, 'code');

function textOf(error: unknown, field: 'code' | 'remoteCode'): string | undefined {
  const value =
    typeof error === 'object' && error !== null ? (error as Partial<Record<string, unknown>>)[field] : undefined;
  return typeof value === 'string' ? value : undefined;
}
