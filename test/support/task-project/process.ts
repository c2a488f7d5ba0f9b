/** A task's process with the project's tasks built in: bundled for the tests, since tsx takes a second for each start. */
import { runTaskProcess } from '../../../src/task/child.ts';
import { TaskRegistry } from '../../../src/task/registry.ts';
import * as tasks from './tasks.ts';

runTaskProcess(async () => {
  const registry = new TaskRegistry();
  registry.addExports(tasks);
  return registry;
});
