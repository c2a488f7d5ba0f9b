import { type Finding, ok, problem } from '../../doctor/problems.ts';
import { NoTasksError } from '../../errors.ts';
import type { ResolvedSettings } from '../../settings/resolved.ts';
import { messageOf } from '../../util/thrown.ts';
import { type LoadedProject, loadTasks } from '../tasks.ts';

/** Whether tasks and processes can be loaded, and have the environment variables that they name. */
export async function examineTasks(settings: ResolvedSettings): Promise<readonly Finding[]> {
  try {
    const project = await loadTasks(settings, { preferSources: false });
    const { taskRegistry, processRegistry } = project;
    const counts = `${taskRegistry.definitions.length} tasks, ${processRegistry.definitions.length} processes`;
    return [ok('tasks', counts), ...missing(project)];
  } catch (error) {
    if (error instanceof NoTasksError) return [];
    return [problem('tasks-broken', messageOf(error))];
  }
}

/** One finding for each variable: whoever sets it sets it once. */
function missing({ taskRegistry, processRegistry }: LoadedProject): Finding[] {
  const users = new Map<string, Set<string>>();
  const add = (names: readonly string[], user: string) => {
    for (const name of names) {
      if (process.env[name] === undefined) users.set(name, (users.get(name) ?? new Set()).add(user));
    }
  };
  for (const { name, env } of taskRegistry.definitions) add(env, `task ${name}`);
  for (const { id, validations, tasksSync, tasksAsync } of processRegistry.descriptions) {
    for (const { name, env } of [...validations, ...tasksSync, ...tasksAsync]) add(env, `${name} of process ${id}`);
  }
  return [...users].map(([name, by]) => problem('variable-missing', `${name} is not set, for ${[...by].join(', ')}`));
}
