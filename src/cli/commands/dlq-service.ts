import type { DeadLetters } from '../../dead-letters/dead-letters.ts';
import type { DeadLetterFilter } from '../../dead-letters/filter.ts';
import type { CommandContext } from '../context.ts';

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
export async function withDeadLetters(
  context: CommandContext,
  work: (deadLetters: DeadLetters) => Promise<0 | 1>,
): Promise<0 | 1> {
  const settings = await context.loadSettings();
  const level = context.options.logLevel ?? 'warn';
  const logger = await context.createLogger('cli', { ...settings, logLevel: level });
  const { createService } = await import('../../assemble.ts');
  const { closeSoon } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  try {
    return await work(await service.deadLetters());
  } finally {
    await closeSoon(() => service.close());
  }
}
