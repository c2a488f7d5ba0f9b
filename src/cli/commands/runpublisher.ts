import type { CommandContext } from '../context.ts';

/** Moves events from the outbox to the broker until a signal. */
export async function runpublisher(context: CommandContext): Promise<0 | 1> {
  const dev = context.options.devChild ? await import('../dev/child.ts') : undefined;
  await dev?.waitForTurn(context.options);
  const settings = await context.loadSettings();
  dev?.askToServe(settings);
  const logger = await context.createLogger('publisher', settings);
  const { createService } = await import('../../assemble.ts');
  const { monitorOf, runService } = await import('../run-service.ts');
  const service = createService(settings, { logger, canHost: dev === undefined });
  const readyText = 'publishing from the outbox';
  return runService(service.relay(), {
    logger,
    settings,
    readyText,
    onReady: dev?.tellStarted,
    monitor: dev ? undefined : monitorOf(service),
    close: () => service.close(),
  });
}
