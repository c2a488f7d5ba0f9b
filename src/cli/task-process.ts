/** What runs in a task's process: loads the project's task files, and runs what the worker sends. */
import { defaultExport, importFile } from '../settings/import-file.ts';
import { runTaskProcess } from '../task/child.ts';

runTaskProcess(async ({ root, files }) => {
  // The package's own door, as the files import it: what they add is added to this registry.
  const { taskRegistry } = await import('../task-door.ts');
  for (const file of files) {
    const module = await importFile(file, root);
    taskRegistry.addExports(module);
    const wrapped = defaultExport(module);
    if (typeof wrapped === 'object' && wrapped !== null) taskRegistry.addExports(wrapped as Record<string, unknown>);
  }
  return taskRegistry;
});
