import type { Logger } from '../lifecycle/logger.ts';

/**
 * Nesting that a request and the arguments of a step may have: one level less than the arguments of a task, in which
 * workers get them.
 */
export const MAX_REQUEST_DEPTH = 61;
/** The same of a synchronous task's result, which stands there among others. */
export const MAX_RESULT_DEPTH = 60;

/** What a step has besides the request. */
export interface StepContext {
  /** The environment variables that the step declares, as far as they are set; no others. */
  readonly env: Readonly<Record<string, string>>;
  /** Aborts when the step's time is over, and when the process that runs it is to end. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** What the synchronous tasks before this one returned, by their names. */
  readonly results: Readonly<Record<string, unknown>>;
  /** Of an asynchronous task. */
  readonly taskId?: string;
  /** Of an asynchronous task: 1 for its first run. */
  readonly attempt?: number;
}

/** What a body is taken for when nothing else is said. */
export type AnyBody = Readonly<Record<string, unknown>>;

/** The request that creates an instance, as it travels: JSON, and frozen through and through. */
export interface RequestSnapshot<Body = AnyBody> {
  readonly method: string;
  readonly url: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  /** Those of the setting `instances.headers`; never `authorization`, `cookie` and their like. */
  readonly headers: Readonly<Record<string, string>>;
  /** With the types and defaults of the fields. */
  readonly body: Body;
  /** Who asks, as the guard found out; `''` when nobody said. */
  readonly user: string;
  readonly instanceId: string;
}

/** The first argument of a validation and of an asynchronous task. */
export interface ProcessRequest<Body = AnyBody> extends RequestSnapshot<Body> {
  readonly context: StepContext;
}

/** The first argument of a synchronous task, which runs where the request came in. */
export interface SyncRequest<Body = AnyBody> extends ProcessRequest<Body> {
  /** The server's own request: Fastify's over HTTP, undefined from the command line and from code. */
  readonly raw: unknown;
}
