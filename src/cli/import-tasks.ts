import { defaultExport, importFile } from '../settings/import-file.ts';
import type { TaskRegistry } from '../task/registry.ts';

/** Imports files that define tasks, one after the other, in one order everywhere. */
export async function importTasks(files: readonly string[], root: string): Promise<TaskRegistry> {
  // The package's own door, as the files import it: what they add is added to this registry.
  const { taskRegistry } = await import('../task-door.ts');
  for (const file of files) {
    const module = await importFile(file, root);
    taskRegistry.addExports(module);
    const wrapped = defaultExport(module);
    if (typeof wrapped === 'object' && wrapped !== null) taskRegistry.addExports(wrapped as Record<string, unknown>);
  }
  return taskRegistry;
}
