import type { CommandContext } from '../context.ts';

/** Consumes until a signal. */
export async function runconsumer(context: CommandContext): Promise<0 | 1> {
  const settings = await context.loadSettings();
  const { consumerGlobs, loadRouter } = await import('../consumers.ts');
  const preferSources = context.options.devChild === true;
  if (context.options.devChild) {
    const { followParent } = await import('../dev/messages.ts');
    const { globFolders } = await import('../dev/glob-folders.ts');
    followParent(globFolders(settings.root, consumerGlobs(settings, { preferSources })));
  }
  const logger = await context.createLogger('consumer', settings);
  const { createService } = await import('../../assemble.ts');
  const { messageRouter, useAsDefault } = await import('../../default-service.ts');
  const { runService } = await import('../run-service.ts');
  const service = createService(settings, { logger, messageRouter });
  // Before any file of the project: the package's functions, called in a handler, find the handler's transaction.
  useAsDefault(service);
  const router = await loadRouter(settings, { preferSources });
  const readyText = `consuming from queue ${settings.queue.name} with ${router.routes.length} consumers`;
  return runService(service.consumer(), { logger, settings, readyText, close: () => service.close() });
}
