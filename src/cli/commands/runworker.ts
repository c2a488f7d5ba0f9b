import type { CommandContext } from '../context.ts';
import { boundedOutput } from '../output.ts';

/** Runs tasks until a signal. */
export async function runworker(context: CommandContext): Promise<0 | 1> {
  const dev = context.options.devChild ? await import('../dev/child.ts') : undefined;
  await dev?.waitForTurn(context.options);
  const settings = await context.loadSettings();
  dev?.askToServe(settings);
  const { loadTasks, projectGlobs } = await import('../tasks.ts');
  const search = { preferSources: dev !== undefined };
  if (dev) {
    const { globFolders } = await import('../dev/glob-folders.ts');
    dev.tellWatched(globFolders(settings.root, projectGlobs(settings, search)));
  }
  const logger = await context.createLogger('worker', settings);
  const { createService } = await import('../../assemble.ts');
  const { useAsDefault } = await import('../../default-service.ts');
  const { monitorOf, runService } = await import('../run-service.ts');
  const service = createService(settings, { logger, canHost: dev === undefined });
  useAsDefault(service);
  const { registry, files } = await loadTasks(settings, search);
  const { definitions } = registry;
  const names = definitions.map(({ name }) => name).join(', ');
  const readyText = `taking tasks, ${settings.worker.concurrency} at once: ${names}`;
  return runService(service.worker({ files, onOutput: boundedOutput(process.stdout) }), {
    logger,
    settings,
    readyText,
    onReady: dev?.tellStarted,
    monitor: dev ? undefined : monitorOf(service),
    close: () => service.close(),
  });
}
