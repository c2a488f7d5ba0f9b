import type { DeadLetters } from '../../dead-letters/dead-letters.ts';
import type { DeadLetterFilter } from '../../dead-letters/filter.ts';
import type { CommandContext } from '../context.ts';
import { withService } from '../with-service.ts';

export interface FilterOptions {
  readonly reason?: readonly string[];
  readonly handler?: readonly string[];
  readonly id?: readonly string[];
  readonly since?: Date;
}

export const filterOf = ({ reason, handler, id, since }: FilterOptions): DeadLetterFilter => ({
  ...(reason ? { reasons: reason } : {}),
  ...(handler ? { handlers: handler } : {}),
  ...(id ? { ids: id } : {}),
  ...(since ? { since } : {}),
});

/** Gives the dead letters of the project's queue, and closes what they needed. */
export const withDeadLetters = (
  context: CommandContext,
  work: (deadLetters: DeadLetters) => Promise<0 | 1>,
): Promise<0 | 1> => withService(context, async (service) => work(await service.deadLetters()));
