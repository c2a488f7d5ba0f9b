import { MissingPackageError, NoConsumersError, NoTasksError } from '../../errors.ts';
import type { Service } from '../../lifecycle/service.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import { countText } from '../../util/count-text.ts';
import type { CommandContext } from '../context.ts';
import { boundedOutput } from '../output.ts';
import { tellWatched } from './child.ts';
import { globFolders } from './glob-folders.ts';

/** What one process of `dev` does for the project, with a logger and connections of its own. */
export interface DevRole {
  readonly service: Service;
  /** What it does, for the log. */
  readonly text: string;
  readonly close: () => Promise<void>;
}

const search = { preferSources: true } as const;

export async function publisherRole(context: CommandContext, settings: ResolvedSettings): Promise<DevRole> {
  const { createService } = await import('../../assemble.ts');
  const logger = await context.createLogger('publisher', settings);
  const made = createService(settings, { logger, canHost: false });
  return { service: made.relay(), text: 'publishing from the outbox', close: () => made.close() };
}

/** @returns undefined when the project has no consumers yet */
export async function consumerRole(context: CommandContext, settings: ResolvedSettings): Promise<DevRole | undefined> {
  const { createService } = await import('../../assemble.ts');
  const { messageRouter, useAsDefault } = await import('../../default-service.ts');
  const { consumerGlobs, loadRouter } = await import('../consumers.ts');
  tellWatched(globFolders(settings.root, consumerGlobs(settings, search)));
  const logger = await context.createLogger('consumer', settings);
  const made = createService(settings, { logger, messageRouter, canHost: false });
  useAsDefault(made);
  try {
    const router = await loadRouter(settings, search);
    const text = `consuming from queue ${settings.queue.name} with ${countText(router.routes.length, 'consumer')}`;
    return { service: made.consumer(), text, close: () => made.close() };
  } catch (error) {
    if (!(error instanceof NoConsumersError)) throw error;
    logger.warn({}, `nothing is consumed: ${error.message}`);
    return undefined;
  }
}

/** @returns undefined when the project has no tasks */
export async function workerRole(context: CommandContext, settings: ResolvedSettings): Promise<DevRole | undefined> {
  const { createService } = await import('../../assemble.ts');
  const { loadTasks, projectGlobs } = await import('../tasks.ts');
  tellWatched(globFolders(settings.root, projectGlobs(settings, search)));
  try {
    const { registry, files } = await loadTasks(settings, search);
    const logger = await context.createLogger('worker', settings);
    const made = createService(settings, { logger, canHost: false });
    const text = `taking tasks: ${registry.definitions.map(({ name }) => name).join(', ')}`;
    const onOutput = boundedOutput(process.stdout);
    return { service: made.worker({ files, onOutput }), text, close: () => made.close() };
  } catch (error) {
    if (error instanceof NoTasksError) return undefined;
    throw error;
  }
}

/** @returns undefined when the project has nothing to serve, or fastify is not installed */
export async function serverRole(context: CommandContext, settings: ResolvedSettings): Promise<DevRole | undefined> {
  const { taskRegistry } = await import('../../task-door.ts');
  const { processRegistry } = await import('../../process-door.ts');
  if (taskRegistry.definitions.length + processRegistry.definitions.length === 0) return undefined;
  const { createService } = await import('../../assemble.ts');
  const { messageRouter } = await import('../../default-service.ts');
  const { assertNames, loadDoor, projectServer } = await import('../project-server.ts');
  const logger = await context.createLogger('server', settings);
  const project = { taskRegistry, processRegistry, messageRouter, taskFiles: [] };
  assertNames(project);
  try {
    await loadDoor();
  } catch (error) {
    if (!(error instanceof MissingPackageError)) throw error;
    logger.info({}, `tasks and processes are not served over HTTP: ${error.message}`);
    return undefined;
  }
  const made = createService(settings, { logger, messageRouter, canHost: false });
  const service = projectServer(made, { settings, project, logger, takesOtherPort: true });
  return { service, text: 'serving them over HTTP', close: () => made.close() };
}
