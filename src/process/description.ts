import type { JsonSchema } from '../message/json-schema.ts';

export type { JsonSchema } from '../message/json-schema.ts';

export const FIELD_TYPES = [
  'char',
  'text',
  'integer',
  'float',
  'boolean',
  'date',
  'datetime',
  'email',
  'url',
  'choice',
  'list',
  'json',
] as const;
export type FieldType = (typeof FIELD_TYPES)[number];

/** What a process tells of itself, to documentation, other services and people. */
export interface ProcessDescription {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly fields: readonly FieldDescription[];
  /** What the body of a request that creates an instance must be. */
  readonly input: JsonSchema;
  readonly validations: readonly StepDescription[];
  readonly tasksSync: readonly StepDescription[];
  readonly tasksAsync: readonly AsyncStepDescription[];
}

export interface FieldDescription {
  readonly name: string;
  readonly description: string;
  readonly type: FieldType;
  readonly isRequired: boolean;
  /** undefined: there is none. */
  readonly default?: unknown;
  /** Of a choice. */
  readonly choices?: readonly unknown[];
}

/** A validation or task as a process names it. */
export interface StepDescription {
  /** `http.request` of the package, `comms.sendHelloEmail` of the project, or the function's own name. */
  readonly name: string;
  readonly description: string;
  /** What it is called with after the request. */
  readonly args: readonly unknown[];
  /** Environment variables that it is given. */
  readonly env: readonly string[];
}

export interface AsyncStepDescription extends StepDescription {
  /** When it runs: `delay` after the last synchronous task has ended, in ms, or at a time made of the input. */
  readonly when: { readonly kind: 'now' } | { readonly kind: 'delay'; readonly ms: number } | { readonly kind: 'at' };
}
