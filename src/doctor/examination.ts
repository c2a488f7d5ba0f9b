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

/** A time for people: `3.2 s`, `4 min`, `2 h`, `9 d`. */
export function forPeople(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}
