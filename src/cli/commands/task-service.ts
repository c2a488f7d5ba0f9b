import type { ResolvedSettings } from '../../settings/resolved.ts';
import type { Tasks } from '../../task/tasks.ts';
import type { CommandContext } from '../context.ts';
import { PATIENCE } from '../patience.ts';

/** Gives the client of the project's tasks, and closes what it needed. @param prepare what comes before it connects */
export async function withTasks(
  context: CommandContext,
  work: (tasks: Tasks) => Promise<0 | 1>,
  prepare: (settings: ResolvedSettings) => Promise<unknown> = async () => undefined,
): Promise<0 | 1> {
  const settings = await context.loadSettings(PATIENCE);
  await prepare(settings);
  const level = context.options.logLevel ?? 'warn';
  const logger = await context.createLogger('cli', { ...settings, logLevel: level });
  const { createService } = await import('../../assemble.ts');
  const { closeSoon } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  try {
    return await work(await service.tasks());
  } finally {
    await closeSoon(() => service.close());
  }
}
