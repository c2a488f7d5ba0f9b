import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { InputProblem } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { shown } from '../task/coerce.ts';
import { failureOf } from '../task/process-message.ts';
import type { BoundStep, ProcessDefinition } from './definition.ts';
import { type FieldValues, readFields } from './field-value.ts';
import type { RequestSnapshot } from './request.ts';
import { DEFAULT_STEP_TIMEOUT_MS, runStep } from './run-step.ts';
import { timeOfText } from './time-text.ts';

/** The body as the fields, or the schema, of a process read it. */
export function readInput({ fields, schema }: ProcessDefinition, body: unknown): Promise<FieldValues> {
  return schema ? readBySchema(schema, body) : Promise.resolve(readFields(fields, body));
}

async function readBySchema(schema: StandardSchemaV1, body: unknown): Promise<FieldValues> {
  let result: StandardSchemaV1.Result<unknown>;
  try {
    result = await inTime(schema['~standard'].validate(body), 'the schema');
  } catch (error) {
    return { body, problems: [{ kind: 'body', name: 'body', why: failureOf(error).message }] };
  }
  if (!result.issues) return { body: result.value, problems: [] };
  const problems = result.issues.map(({ path, message }): InputProblem => {
    const keys = (path ?? []).map((part) => String(typeof part === 'object' ? part.key : part));
    return { kind: keys.length === 0 ? 'body' : 'field', name: keys.join('.') || 'body', why: message };
  });
  return { body, problems };
}

/** Runs every validation, also behind one that fails: whoever asks is told all at once. */
export async function failedValidations(
  validations: readonly BoundStep[],
  { snapshot, logger, until }: { snapshot: RequestSnapshot<unknown>; logger: Logger; until: AbortSignal },
): Promise<readonly InputProblem[]> {
  const problems: InputProblem[] = [];
  for (const bound of validations) {
    const end = await runStep(bound, { snapshot, context: { logger, results: {} }, until });
    const why =
      end.kind === 'done' ? whyNot(end.value) : end.kind === 'aborted' ? 'the server stops' : end.error.message;
    if (why !== undefined) problems.push({ kind: 'validation', name: bound.name, why });
  }
  return problems;
}

/** What a validation returned, through JSON: nothing is null there. */
function whyNot(value: unknown): string | undefined {
  if (value === true || value === null) return undefined;
  if (value === false) return 'it does not hold';
  if (value === '') return 'it does not hold, and does not say why';
  return typeof value === 'string' ? value : `it returned ${shown(value)}: neither true nor false nor why not`;
}

/** @returns undefined when it is none */
function timeOf(value: unknown): Date | undefined {
  if (typeof value === 'string') return timeOfText(value);
  // A copy of what is its author's own, and may be changed by the time when the tasks are submitted.
  const ms = value instanceof Date ? value.getTime() : value;
  const time = new Date(typeof ms === 'number' ? ms : Number.NaN);
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** What can be written with four digits for the year, as everybody reads it. */
const isWithinReach = (date: Date): boolean => date.getTime() >= 0 && date.getUTCFullYear() <= 9999;

/** The caller waits for it, and so does a server that stops. */
async function inTime<T>(work: T | Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} took longer than ${DEFAULT_STEP_TIMEOUT_MS / 1000} s`));
    }, DEFAULT_STEP_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface DueTimes {
  /** Of each asynchronous task. */
  readonly times: readonly (Date | null)[];
  readonly problems: readonly InputProblem[];
}

/** When each asynchronous task is to begin; null: when it is submitted, or a delay after that. */
export async function dueTimes({ tasksAsync }: ProcessDefinition, body: unknown): Promise<DueTimes> {
  const problems: InputProblem[] = [];
  const times: (Date | null)[] = [];
  for (const [index, { name, when }] of tasksAsync.entries()) {
    times[index] = null;
    if (when.kind !== 'at') continue;
    try {
      const at = await inTime(when.at(body as never), `at of ${name}`);
      const date = timeOf(at);
      if (!date) {
        const expected = 'an ISO 8601 time such as 2026-11-23T10:00:00Z';
        problems.push({
          kind: 'time',
          name,
          why: `it is to begin at ${at instanceof Date ? String(at) : shown(at)}, which is no time: expected ${expected}`,
        });
      } else if (!isWithinReach(date)) {
        problems.push({ kind: 'time', name, why: `it is to begin at ${shown(at)}: expected a year from 1970 to 9999` });
      } else times[index] = date;
    } catch (error) {
      problems.push({ kind: 'time', name, why: failureOf(error).message });
    }
  }
  return { times, problems };
}
