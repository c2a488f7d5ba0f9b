import type { Service } from '../lifecycle/service.ts';
import type { RoleMetrics } from '../telemetry/meters.ts';

/** Services in their order of start; the last is the one that the others are for. */
export interface Assembled<Main extends Service> {
  readonly main: Main;
  readonly services: readonly Service[];
  /** Whether it does its work; asked while it is running. @default readiness does not ask it */
  readonly isReady?: () => boolean;
  /** @default it tells nothing of itself */
  readonly metrics?: RoleMetrics;
}
