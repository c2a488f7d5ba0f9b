import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { InputProblem } from '../errors.ts';
import type { Logger } from '../lifecycle/logger.ts';
import { shown } from '../task/coerce.ts';
import { failureOf } from '../task/process-message.ts';
import type { BoundStep, ProcessDefinition } from './definition.ts';
import { type FieldValues, readFields } from './field-value.ts';
import type { RequestSnapshot } from './request.ts';
import { runStep } from './run-step.ts';

/** The body as the fields, or the schema, of a process read it. */
export function readInput({ fields, schema }: ProcessDefinition, body: unknown): Promise<FieldValues> {
  return schema ? readBySchema(schema, body) : Promise.resolve(readFields(fields, body));
}

async function readBySchema(schema: StandardSchemaV1, body: unknown): Promise<FieldValues> {
  const result = await schema['~standard'].validate(body);
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
  return typeof value === 'string' ? value : `it returned ${shown(value)}: neither true nor false nor why not`;
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
      const at = await when.at(body as never);
      const date = at instanceof Date ? at : new Date(typeof at === 'string' || typeof at === 'number' ? at : NaN);
      if (Number.isNaN(date.getTime())) {
        problems.push({ kind: 'time', name, why: `it is to begin at ${shown(at)}, which is no time` });
      } else times[index] = date;
    } catch (error) {
      problems.push({ kind: 'time', name, why: failureOf(error).message });
    }
  }
  return { times, problems };
}
