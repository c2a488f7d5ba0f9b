import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { glob } from 'tinyglobby';
import { NoTasksError } from '../errors.ts';
import { DEFAULT_TASK_GLOBS } from '../settings/defaults.ts';
import { isRunThroughTsx } from '../settings/import-file.ts';
import type { ResolvedSettings } from '../settings/resolved.ts';
import { TaskRegistry } from '../task/registry.ts';
import { type ImportedProject, importProject, STEP_GLOBS } from './import-project.ts';

export interface TaskSearch {
  /** Look for sources although there is a build: a `dev*` command, which runs what is being edited. */
  readonly preferSources: boolean;
}

export interface LoadedProject extends ImportedProject {
  /** What a worker runs: the project's tasks, and those of its processes. */
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

/** Of tasks, of the steps that processes call by a name, and of processes. */
export const projectGlobs = (settings: ResolvedSettings, search: TaskSearch): readonly string[] => [
  ...taskGlobs(settings, search),
  ...STEP_GLOBS,
  ...settings.processes,
];

/**
 * The registries with every task and process of the project in them.
 * @throws NoTasksError (SVC_COMM_NO_TASKS) when there is neither, and what importProject throws
 */
export async function loadTasks(settings: ResolvedSettings, search: TaskSearch): Promise<LoadedProject> {
  const globs = projectGlobs(settings, search);
  const lookedIn = globs.map((pattern) => join(relative(process.cwd(), settings.root), pattern));
  // Tests stand beside what they test.
  const ignore = ['**/node_modules/**', '**/*.d.ts', '**/*.d.mts', '**/*.{test,spec}.*'];
  const files = (await glob([...globs], { cwd: settings.root, absolute: true, ignore })).toSorted();
  if (files.length === 0) throw new NoTasksError(lookedIn, 'no file with tasks or processes was found');
  const project = await importProject(files, settings.root);
  const registry = new TaskRegistry([project.taskRegistry, project.processRegistry]);
  if (registry.definitions.length + project.processRegistry.definitions.length === 0) {
    throw new NoTasksError(lookedIn, 'the files that were found define no task and no process');
  }
  return { ...project, registry, files };
}
