import type { Service } from '../lifecycle/service.ts';

/** Services in their order of start; the last is the one that the others are for. */
export interface Assembled<Main extends Service> {
  readonly main: Main;
  readonly services: readonly Service[];
}
