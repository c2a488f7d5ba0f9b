import type { SvcCommService } from '../assemble.ts';
import type { Logger } from '../lifecycle/logger.ts';
import type { CommandContext } from './context.ts';
import { PATIENCE } from './patience.ts';

/** Gives the project's service to a short command, and closes it after that. Logs from `warn` on. */
export async function withService<T>(
  context: CommandContext,
  work: (service: SvcCommService, logger: Logger) => Promise<T>,
): Promise<T> {
  const settings = await context.loadSettings(PATIENCE);
  const level = context.options.logLevel ?? 'warn';
  const logger = await context.createLogger('cli', { ...settings, logLevel: level });
  const { createService } = await import('../assemble.ts');
  const { closeSoon } = await import('./run-service.ts');
  const service = createService(settings, { logger });
  try {
    return await work(service, logger);
  } finally {
    await closeSoon(() => service.close());
  }
}
