import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { glob } from 'tinyglobby';
import { NoConsumersError, NoTasksError } from '../errors.ts';
import type { ProcessRegistry } from '../process/registry.ts';
import type { MessageRouter } from '../router/router.ts';
import { DEFAULT_CONTRACT_GLOBS } from '../settings/defaults.ts';
import { importFile, isRunThroughTsx } from '../settings/import-file.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import type { TaskRegistry } from '../task/registry.ts';
import { loadRouter } from './consumers.ts';
import { loadTasks } from './tasks.ts';

/** Everything that a project registers, for what runs or tells of all of it. */
export interface WholeProject {
  readonly taskRegistry: TaskRegistry;
  readonly processRegistry: ProcessRegistry;
  readonly messageRouter: MessageRouter;
  /** What a worker loads; empty: there is nothing to work on. */
  readonly taskFiles: readonly string[];
}

const search = { preferSources: false } as const;

/**
 * Loads tasks, processes, consumers and contracts; a project need not have any of them.
 * @throws what loadTasks and loadRouter throw, but for what is not there
 */
export async function loadProject(settings: ResolvedSettings): Promise<WholeProject> {
  const tasks = await unlessNone(loadTasks(settings, search), NoTasksError);
  await unlessNone(loadRouter(settings, search), NoConsumersError);
  for (const file of await contractFiles(settings)) await importFile(file, settings.root);
  // The package's own doors, as the project's files import them.
  const { taskRegistry } = await import('../task-door.ts');
  const { processRegistry } = await import('../process-door.ts');
  const { messageRouter } = await import('../default-service.ts');
  return { taskRegistry, processRegistry, messageRouter, taskFiles: tasks?.files ?? [] };
}

async function contractFiles({ contracts, root }: ResolvedSettings): Promise<string[]> {
  const hasBuild = !isRunThroughTsx() && existsSync(join(root, 'dist'));
  const globs = contracts ?? (hasBuild ? DEFAULT_CONTRACT_GLOBS.built : DEFAULT_CONTRACT_GLOBS.sources);
  const ignore = ['**/node_modules/**', '**/*.d.ts', '**/*.d.mts'];
  return (await glob([...globs], { cwd: root, absolute: true, ignore })).toSorted();
}

async function unlessNone<T>(
  loading: Promise<T>,
  none: typeof NoTasksError | typeof NoConsumersError,
): Promise<T | undefined> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof none) return undefined;
    throw error;
  }
}
