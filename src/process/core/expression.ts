import type { Expression } from 'jsonata';

/** What expressions see: the request, and what the synchronous tasks before it returned. */
export type ExpressionInput = Readonly<Record<string, unknown>>;

const TIMEOUT_MS = 1_000;
const MAX_DEPTH = 500;
/** Members of a sequence that an expression makes. */
const MAX_SEQUENCE = 100_000;

const compiled = new Map<string, Promise<Expression>>();

/**
 * The value of a JSONata expression. It is the process's author's, the input is the caller's: an expression that does not
 * come to an end is ended after a second.
 */
export async function evaluate(expression: string, input: unknown): Promise<unknown> {
  const value: unknown = await (await compile(expression)).evaluate(input);
  // Its lists carry properties of their own, and its nothing is none of JSON.
  return value === undefined ? null : JSON.parse(JSON.stringify(value) ?? 'null');
}

function compile(expression: string): Promise<Expression> {
  const known = compiled.get(expression);
  if (known) return known;
  // Loaded when it is first needed: most processes have none.
  const made = import('jsonata').then(({ default: jsonata }) =>
    jsonata(expression, { timeout: TIMEOUT_MS, stack: MAX_DEPTH, sequence: MAX_SEQUENCE }),
  );
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
