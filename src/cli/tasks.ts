import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { glob } from 'tinyglobby';
import { NoTasksError } from '../errors.ts';
import { DEFAULT_TASK_GLOBS } from '../settings/defaults.ts';
import { isRunThroughTsx } from '../settings/import-file.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import type { TaskRegistry } from '../task/registry.ts';
import { importTasks } from './import-tasks.ts';

export interface TaskSearch {
  /** Look for sources although there is a build: a `dev*` command, which runs what is being edited. */
  readonly preferSources: boolean;
}

export interface LoadedTasks {
  readonly registry: TaskRegistry;
  /** Absolute, in the order they were loaded. */
  readonly files: readonly string[];
}

/** The globs of the setting, else of the build when there is one, else of the sources. */
export function taskGlobs(settings: ResolvedSettings, { preferSources }: TaskSearch): readonly string[] {
  if (settings.tasks) return settings.tasks;
  const hasBuild = !preferSources && !isRunThroughTsx() && existsSync(join(settings.root, 'dist'));
  return hasBuild ? DEFAULT_TASK_GLOBS.built : DEFAULT_TASK_GLOBS.sources;
}

/**
 * The registry with every task of the project in it.
 * @throws NoTasksError (SVC_COMM_NO_TASKS), ModuleLoadError (SVC_COMM_MODULE_LOAD), DuplicateTaskError
 */
export async function loadTasks(settings: ResolvedSettings, search: TaskSearch): Promise<LoadedTasks> {
  const globs = taskGlobs(settings, search);
  const lookedIn = globs.map((pattern) => join(relative(process.cwd(), settings.root), pattern));
  const ignore = ['**/node_modules/**', '**/*.d.ts', '**/*.d.mts'];
  const files = (await glob([...globs], { cwd: settings.root, absolute: true, ignore })).toSorted();
  if (files.length === 0) throw new NoTasksError(lookedIn, 'no file with tasks was found');
  const registry = await importTasks(files, settings.root);
  if (registry.definitions.length === 0) throw new NoTasksError(lookedIn, 'the files that were found define no task');
  return { registry, files };
}
