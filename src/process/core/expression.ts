import { createRequire } from 'node:module';
import type jsonata from 'jsonata';
import type { Expression } from 'jsonata';
import { failureOf } from '../../task/process-message.ts';

/** What expressions see: the request, and what the synchronous tasks before it returned. */
export type ExpressionInput = Readonly<Record<string, unknown>>;

const TIMEOUT_MS = 1_000;
const MAX_DEPTH = 500;
/** Members of a sequence that an expression makes. */
const MAX_SEQUENCE = 100_000;

const compiled = new Map<string, Expression>();
/** Definitions are looked at without waiting, and what is wrong with an expression only JSONata can say. */
const require = createRequire(import.meta.url);

/**
 * The value of a JSONata expression. It is the process's author's, the input is the caller's: an expression that does not
 * come to an end is ended after a second.
 */
export async function evaluate(expression: string, input: unknown): Promise<unknown> {
  // It marks lists that are to stay lists (`items[]`) on themselves, which a frozen request does not take.
  const value: unknown = await compile(expression).evaluate(structuredClone(input));
  // Its lists carry properties of their own, and its nothing is none of JSON.
  return value === undefined ? null : JSON.parse(JSON.stringify(value) ?? 'null');
}

/** Looks at expressions when a process is defined. @returns what is wrong with one; undefined: it can be read */
export function expressionProblem(expression: string): string | undefined {
  try {
    compile(expression);
    return undefined;
  } catch (error) {
    return `a JSONata expression: ${failureOf(error).message}`;
  }
}

/** The same of every expression among arguments, as `filled` finds them. */
export function filledProblem(value: unknown): string | undefined {
  if (typeof value === 'string') {
    return value.startsWith('=') && !value.startsWith('==') ? expressionProblem(value.slice(1)) : undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  for (const item of Object.values(value)) {
    const problem = filledProblem(item);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function compile(expression: string): Expression {
  const known = compiled.get(expression);
  if (known) return known;
  // Loaded when it is first needed: most processes have none.
  const load = require('jsonata') as typeof jsonata;
  const made = load(expression, { timeout: TIMEOUT_MS, stack: MAX_DEPTH, sequence: MAX_SEQUENCE });
  compiled.set(expression, made);
  return made;
}

/** Texts that begin with `=` are expressions, with `==` texts that begin with `=`; lists and objects are gone through. */
export async function filled(value: unknown, input: ExpressionInput): Promise<unknown> {
  if (typeof value === 'string') {
    if (value.startsWith('==')) return value.slice(1);
    return value.startsWith('=') ? evaluate(value.slice(1), input) : value;
  }
  if (Array.isArray(value)) return Promise.all(value.map((item) => filled(item, input)));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(async ([key, item]) => [key, await filled(item, input)] as const);
  return Object.fromEntries(await Promise.all(entries));
}
