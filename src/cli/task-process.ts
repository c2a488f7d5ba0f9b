/** What runs in a task's process: loads the project's task files, and runs what the worker sends. */
import { runTaskProcess } from '../task/child.ts';
import { importTasks } from './import-project.ts';

runTaskProcess(({ root, files }) => importTasks(files, root));
