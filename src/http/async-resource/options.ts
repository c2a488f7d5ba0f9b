import { InvalidArgumentError } from '../../errors.ts';
import type { JsonSchema } from '../../message/json-schema.ts';
import type { TaskRecord } from '../../task/state.ts';
import type { GuardOptions } from '../guard/options.ts';
import { assertPluginOptions } from '../plugin-options.ts';
import type { TaskAccessOptions } from '../task-access.ts';
import type { OperationName, ResourceAction, ResourceRequest } from './operations.ts';

/** What documentation says of an operation. */
export interface OperationDocs {
  readonly summary?: string;
  readonly description?: string;
  /** JSON Schema of each query parameter. */
  readonly query?: Readonly<Record<string, JsonSchema>>;
  /** JSON Schema of the body. */
  readonly body?: JsonSchema;
}

/**
 * @param task what is to be looked at or ended, which another resource may have started: its name and submitter tell.
 *   undefined for an operation, and where there is none of that id, or none for this owner
 */
export type Authorize = (
  request: ResourceRequest,
  action: ResourceAction,
  task: TaskRecord | undefined,
) => boolean | Promise<boolean>;

export interface AsyncResourceOptions extends TaskAccessOptions {
  /** Whether a state is answered with 303 to the result when there is one; `?redirect=1` asks for it once. @default false */
  readonly seeOther?: boolean | undefined;
  /** Whether the caller may do it; false: 403. @default true for whoever the guard lets in */
  readonly authorize?: Authorize | undefined;
  /** Starts a second of one owner, or address, and as many at once; 0: no limit but that of the guard. @default 0 */
  readonly rateLimit?: number | undefined;
  /** @default the guard of the scope around, else one with its defaults: this machine only */
  readonly guard?: GuardOptions | undefined;
  readonly docs?: Readonly<Partial<Record<OperationName, OperationDocs>>> | undefined;
}

const NAMES = [
  'tasks',
  'cancelWait',
  'seeOther',
  'authorize',
  'rateLimit',
  'guard',
  'docs',
] as const satisfies readonly (keyof AsyncResourceOptions)[];

/** @throws InvalidArgumentError (SVC_COMM_INVALID_ARGUMENT) */
export function checkResource(name: string, options: AsyncResourceOptions): void {
  assertPluginOptions('asyncResource', options, NAMES);
  const { rateLimit = 0 } = options;
  if (!/^[\w.~-]{1,100}$/.test(name)) {
    throw new InvalidArgumentError('name', '1 to 100 letters, digits, _, -, ~ and .', JSON.stringify(name));
  }
  if (!Number.isFinite(rateLimit) || rateLimit < 0) {
    throw new InvalidArgumentError('rateLimit', 'a number ≥ 0', String(rateLimit));
  }
}
