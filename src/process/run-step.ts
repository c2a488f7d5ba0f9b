import type { ProcessRequest, RequestSnapshot, StepContext } from './request.ts';
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
