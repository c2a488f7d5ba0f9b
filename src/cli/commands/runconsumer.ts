import { countText } from '../../util/count-text.ts';
import type { CommandContext } from '../context.ts';

/** Consumes until a signal. */
export async function runconsumer(context: CommandContext): Promise<0 | 1> {
  const dev = context.options.devChild ? await import('../dev/child.ts') : undefined;
  await dev?.waitForTurn(context.options);
  const settings = await context.loadSettings();
  dev?.askToServe(settings);
  const { consumerGlobs, loadRouter } = await import('../consumers.ts');
  const search = { preferSources: dev !== undefined };
  if (dev) {
    const { globFolders } = await import('../dev/glob-folders.ts');
    dev.tellWatched(globFolders(settings.root, consumerGlobs(settings, search)));
  }
  const logger = await context.createLogger('consumer', settings);
  const { createService } = await import('../../assemble.ts');
  const { messageRouter, useAsDefault } = await import('../../default-service.ts');
  const { monitorOf, runService } = await import('../run-service.ts');
  const service = createService(settings, { logger, messageRouter, canHost: dev === undefined });
  // Before any file of the project: the package's functions, called in a handler, find the handler's transaction.
  useAsDefault(service);
  const router = await loadRouter(settings, search);
  const readyText = `consuming from queue ${settings.queue.name} with ${countText(router.routes.length, 'consumer')}`;
  return runService(service.consumer(), {
    logger,
    settings,
    readyText,
    onReady: dev?.tellStarted,
    monitor: dev ? undefined : monitorOf(service),
    close: () => service.close(),
  });
}
