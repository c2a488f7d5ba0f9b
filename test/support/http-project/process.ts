/** As ../task-project/process.ts. */
import { runTaskProcess } from '../../../src/task/child.ts';
import { TaskRegistry } from '../../../src/task/registry.ts';
import * as tasks from './tasks.ts';

runTaskProcess(async () => {
  const registry = new TaskRegistry();
  registry.addExports(tasks);
  return registry;
});
