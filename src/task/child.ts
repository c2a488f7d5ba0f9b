import { Writable } from 'node:stream';
import { flushOpenTelemetry } from '../telemetry/flush.ts';
import { withCorrelation } from '../util/correlation.ts';
import { hasOpenTelemetry } from '../util/open-telemetry.ts';
import { encodeJson } from '../wire/json.ts';
import { childLogger } from './child-logger.ts';
import type { TaskContext } from './context.ts';
import { type FromProcess, failureOf, type ToProcess } from './process-message.ts';
import type { TaskRegistry } from './registry.ts';
import type { TaskFailure } from './state.ts';

type RunMessage = ToProcess & { readonly kind: 'run' };
type LoadMessage = ToProcess & { readonly kind: 'load' };

const PROGRESS_EVERY_MS = 100;

/**
 * The life of a task's process: loads the project's task files, then runs what it is given, one at a time.
 * The worker's word that the run is to end aborts its signal; when the run has ended, the process does. The end of the
 * worker ends it at once: nobody would take its result.
 * @param load imports the files and gives the tasks that they define
 */
export function runTaskProcess(load: (message: LoadMessage) => Promise<TaskRegistry>): void {
  let registry: Promise<TaskRegistry> | undefined;
  let running: AbortController | undefined;
  let isLeaving = false;
  // Taken before there is code of others, which may put something else in its place.
  const sendToWorker = process.send?.bind(process);
  const send = (message: FromProcess, then?: () => void) => sendToWorker?.(message, () => then?.());

  const run = async (message: RunMessage): Promise<void> => {
    const abort = new AbortController();
    running = abort;
    if (isLeaving) abort.abort(new Error('the task is to end'));
    // First of all: a process that dies before this is written has done nothing of the run, which another may have then.
    await new Promise<void>((resolve) => send({ kind: 'begun' }, resolve));
    const ended = await endOf(message, abort.signal, send, registry);
    running = undefined;
    // What the handler printed is to be in the pipe before its result is in the other.
    const told = { ...ended, residentBytes: process.memoryUsage.rss() };
    await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
    send(told, isLeaving ? leave : undefined);
  };

  const end = (): void => {
    isLeaving = true;
    if (running) running.abort(new Error('the task is to end'));
    else void leave();
  };

  process.on('message', (message: ToProcess) => {
    if (message.kind === 'load') {
      registry = load(message);
      registry.then(
        () => send({ kind: 'ready' }),
        (error: unknown) => send({ kind: 'load-failed', message: failureOf(error).message }),
      );
    } else if (message.kind === 'run') void run(message);
    else if (message.kind === 'end') end();
    else void leave();
  });
  // The worker's comes with its word. Another's (of systemd, which sends it to every process of a unit) comes to the worker
  // as well, which has time for what runs, and then gives it back: here it would be a failure of the run.
  process.on('SIGTERM', () => undefined);
  // A terminal's Ctrl-C goes to the worker, which decides.
  process.on('SIGINT', () => undefined);
  process.once('disconnect', exit);
}

/** Past what a handler has put in the place of `write` to be quiet; one that has ended the stream has no more to say. */
const flushed = (stream: Writable): Promise<void> =>
  new Promise((resolve) => {
    if (stream.writable) Writable.prototype.write.call(stream, '', 'utf8', () => resolve());
    else resolve();
  });

const exit = (): never => process.exit(0);

/** The worker kills what does not leave within a second. */
const FLUSH_MS = 500;

async function leave(): Promise<void> {
  await flushOpenTelemetry(FLUSH_MS);
  exit();
}

async function endOf(
  message: RunMessage,
  signal: AbortSignal,
  send: (message: FromProcess) => unknown,
  registry: Promise<TaskRegistry> | undefined,
): Promise<FromProcess & { readonly kind: 'done' | 'failed' }> {
  const { id: taskId, name, attempt, args, maxResultBytes, correlationId, traceparent } = message;
  const { progress, close } = throttled((fraction, note) =>
    send({ kind: 'progress', fraction, note: shortened(note) }),
  );
  const context: TaskContext = {
    taskId,
    attempt,
    signal,
    progress,
    logger: childLogger({ task: name, taskId, attempt }),
  };
  try {
    const task = (await registry)?.get(name);
    const given: unknown = JSON.parse(args);
    const work = async () => task?.call(given, context);
    const traced = await inTrace(traceparent, work);
    const value = await withCorrelation({ correlationId: correlationId ?? taskId, traceparent }, traced);
    const result = encodeJson(value === undefined ? null : value, 'result');
    const bytes = Buffer.byteLength(result);
    if (bytes <= maxResultBytes) return { kind: 'done', result };
    return { kind: 'failed', error: tooLarge(bytes, maxResultBytes) };
  } catch (error) {
    context.logger.error({ error }, 'the task failed');
    return { kind: 'failed', error: failureOf(error) };
  } finally {
    close();
  }
}

/** A longer message is none to the worker, which cuts it further. */
const shortened = (note: unknown): string | undefined => (note === undefined ? undefined : String(note).slice(0, 1000));

const tooLarge = (bytes: number, limit: number): TaskFailure => ({
  name: 'MessageTooLargeError',
  code: 'SVC_COMM_MESSAGE_TOO_LARGE',
  message: `the result has ${bytes} bytes, the limit is ${limit}; store it elsewhere and return a reference to it`,
});

/** Calls at most so often; the last of those in between is not lost. */
function throttled(report: TaskContext['progress']): { readonly progress: TaskContext['progress']; close(): void } {
  let timer: NodeJS.Timeout | undefined;
  let latest: [number, string | undefined] | undefined;
  let isClosed = false;
  const flush = () => {
    timer = undefined;
    if (!latest) return;
    report(...latest);
    latest = undefined;
    timer = setTimeout(flush, PROGRESS_EVERY_MS).unref();
  };
  return {
    progress(fraction, note) {
      if (isClosed) return;
      latest = [fraction, note];
      if (!timer) flush();
    },
    // The process may be at another run by then, and the worker would take it for that one's.
    close() {
      isClosed = true;
      clearTimeout(timer);
      if (latest) report(...latest);
      latest = undefined;
    },
  };
}

/**
 * Makes the trace the active context for the OpenTelemetry that files of the project have set up. Its API is loaded only
 * then: it would be a tenth of what a fresh process costs.
 */
async function inTrace<T>(traceparent: string | undefined, work: () => T): Promise<() => T> {
  if (traceparent === undefined || !hasOpenTelemetry()) return work;
  const { withTrace } = await import('../util/trace-context.ts');
  return () => withTrace(traceparent, work);
}
