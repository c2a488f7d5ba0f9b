import type { CommandContext } from '../context.ts';

/** Moves events from the outbox to the broker until a signal. */
export async function runpublisher(context: CommandContext): Promise<0 | 1> {
  const settings = await context.loadSettings();
  if (context.options.devChild) (await import('../dev/messages.ts')).followParent([]);
  const logger = await context.createLogger('publisher', settings);
  const { createService } = await import('../../assemble.ts');
  const { runService } = await import('../run-service.ts');
  const service = createService(settings, { logger });
  const readyText = 'publishing from the outbox';
  return runService(service.relay(), { logger, settings, readyText, close: () => service.close() });
}
