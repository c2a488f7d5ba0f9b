import type { Assembly } from '../assembly/assembly.ts';
import type { MessageRouter } from '../router/router.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';

/** What the checks are given. */
export interface Examination {
  readonly settings: ResolvedSettings;
  readonly assembly: Assembly;
  /** Undefined: the project consumes nothing, so that its queues are not looked for. */
  readonly router: MessageRouter | undefined;
}
