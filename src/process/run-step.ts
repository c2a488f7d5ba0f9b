import { failureOf } from '../task/process-message.ts';
import type { TaskFailure } from '../task/state.ts';
import { onAbort } from '../util/on-abort.ts';
import { encodeJson } from '../wire/json.ts';
import type { BoundStep } from './definition.ts';
import { MAX_RESULT_DEPTH, type ProcessRequest, type RequestSnapshot, type StepContext } from './request.ts';
import type { ProcessStep } from './step.ts';

/** The first argument of a step, frozen: what one does to it the next must not see. */
export function requestFor(
  step: ProcessStep,
  snapshot: RequestSnapshot<unknown>,
  context: Omit<StepContext, 'env'>,
): ProcessRequest<unknown> {
  return Object.freeze({ ...frozen(snapshot), context: Object.freeze({ ...context, env: environmentOf(step) }) });
}

function environmentOf({ env }: ProcessStep): Readonly<Record<string, string>> {
  const set = env.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.freeze(Object.fromEntries(set));
}

/** Freezes it and all that is in it. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const item of Object.values(value)) frozen(item);
  return value;
}

export const DEFAULT_STEP_TIMEOUT_MS = 30_000;
/** Longest result of a synchronous task, in bytes of JSON. */
const MAX_RESULT_BYTES = 1024 * 1024;

export type StepEnd =
  /** `result` is JSON. */
  | { readonly kind: 'done'; readonly value: unknown; readonly result: string }
  | { readonly kind: 'failed'; readonly error: TaskFailure }
  | { readonly kind: 'timeout'; readonly error: TaskFailure }
  /** `until` aborted before it had ended. */
  | { readonly kind: 'aborted' };

export interface StepRun {
  readonly snapshot: RequestSnapshot<unknown>;
  readonly context: Omit<StepContext, 'env' | 'signal'>;
  /** Further members of the first argument. */
  readonly more?: Readonly<Record<string, unknown>>;
  /** Ends it early. */
  readonly until: AbortSignal;
}

/**
 * Runs a step in this process. Time that is over does not stop the function, which may not look at its signal: it is
 * not waited for any more, and what it does then counts for nothing.
 */
export async function runStep({ step, args }: Omit<BoundStep, 'name'>, run: StepRun): Promise<StepEnd> {
  const { snapshot, context, more, until } = run;
  if (until.aborted) return { kind: 'aborted' };
  const timeoutMs = step.timeoutMs ?? DEFAULT_STEP_TIMEOUT_MS;
  const ended = new AbortController();
  const request = requestFor(step, snapshot, { ...context, signal: ended.signal });
  const first = more ? Object.freeze({ ...request, ...more }) : request;
  let timer: NodeJS.Timeout | undefined;
  let forget: () => void = () => undefined;
  const cut = new Promise<StepEnd>((resolve) => {
    forget = onAbort(until, () => {
      resolve({ kind: 'aborted' });
      ended.abort(until.reason);
    });
    timer = setTimeout(() => {
      resolve({
        kind: 'timeout',
        error: { name: 'TimeoutError', message: `it ran longer than ${timeoutMs / 1000} s` },
      });
    }, timeoutMs);
  });
  const work = (async (): Promise<StepEnd> => {
    try {
      return doneOf(await step.run(first as never, ...(args as never[])));
    } catch (error) {
      return { kind: 'failed', error: failureOf(error) };
    }
  })();
  try {
    return await Promise.race([work, cut]);
  } finally {
    clearTimeout(timer);
    forget();
    ended.abort(new Error('the time of this step is over'));
  }
}

function doneOf(value: unknown): StepEnd {
  const result = encodeJson(value === undefined ? null : value, 'result', MAX_RESULT_DEPTH);
  const bytes = Buffer.byteLength(result);
  if (bytes <= MAX_RESULT_BYTES) return { kind: 'done', value: JSON.parse(result), result };
  const message = `the result has ${bytes} bytes, the limit is ${MAX_RESULT_BYTES}; return a reference to it`;
  return { kind: 'failed', error: { name: 'MessageTooLargeError', code: 'SVC_COMM_MESSAGE_TOO_LARGE', message } };
}
