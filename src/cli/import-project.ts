import { readFile } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { InvalidArgumentError, ModuleLoadError } from '../errors.ts';
import type { StepCatalogue } from '../process/catalogue.ts';
import type { ProcessRegistry } from '../process/registry.ts';
import { ProcessStep, type StepFunction, type StepKind } from '../process/step.ts';
import { defaultExport, importFile } from '../settings/import-file.ts';
import { TaskRegistry } from '../task/registry.ts';

/** Globs of the steps that processes call by a name, below the project's folder. */
export const STEP_GLOBS = ['tasks/custom/**/*', 'validations/custom/**/*', 'validation/custom/**/*'].map(
  (glob) => `${glob}.{ts,mts,js,mjs}`,
);

const STEP_FILE = /^(task|validation)s?\/custom\/(.+)\.[cm]?[jt]s$/;
const DOCUMENT = /\.(ya?ml|json)$/i;

export interface ImportedProject {
  readonly taskRegistry: TaskRegistry;
  readonly processRegistry: ProcessRegistry;
}

/**
 * Imports files that define tasks, steps and processes, one after the other, in one order everywhere: what processes
 * call by a name before the processes.
 * @throws ModuleLoadError (SVC_COMM_MODULE_LOAD), ProcessDefinitionError, DuplicateTaskError, DuplicateProcessError
 */
export async function importProject(files: readonly string[], root: string): Promise<ImportedProject> {
  // The package's own doors, as the files import them: what they add is added to these registries.
  const { taskRegistry } = await import('../task-door.ts');
  const { processRegistry } = await import('../process-door.ts');
  const named = files.map((file) => ({ file, name: relative(root, file).split(sep).join('/') }));
  const steps = named.filter(({ name }) => STEP_FILE.test(name));
  for (const { file, name } of steps) await importSteps(processRegistry.steps, file, name, root);
  for (const { file, name } of named.filter((one) => !steps.includes(one))) {
    if (DOCUMENT.test(name)) {
      const { readProcesses } = await import('../process/document.ts');
      processRegistry.add(...readProcesses(await readFile(file, 'utf8'), name));
      continue;
    }
    const module = await importFile(file, root);
    const wrapped = defaultExport(module);
    of(file, () => {
      for (const one of [module, ...(typeof wrapped === 'object' && wrapped !== null ? [wrapped] : [])]) {
        taskRegistry.addExports(one as Record<string, unknown>);
        processRegistry.addExports({ ...one, default: wrapped });
      }
      taskRegistry.refuseOtherCopies();
      processRegistry.refuseOtherCopies();
    });
  }
  return { taskRegistry, processRegistry };
}

/** What a worker runs: the project's tasks, and those of its processes. */
export async function importTasks(files: readonly string[], root: string): Promise<TaskRegistry> {
  const { taskRegistry, processRegistry } = await importProject(files, root);
  return new TaskRegistry([taskRegistry, processRegistry]);
}

async function importSteps(catalogue: StepCatalogue, file: string, name: string, root: string): Promise<void> {
  const [, kind, path = ''] = STEP_FILE.exec(name) ?? [];
  const module = await importFile(file, root);
  const parts = path.split('/').filter((part) => part !== 'index');
  const last = parts.at(-1);
  const exported = { ...module, default: defaultExport(module) };
  for (const [key, value] of Object.entries(exported)) {
    if (!(value instanceof ProcessStep) && typeof value !== 'function') continue;
    // `say_hello.ts` with `export default`, or with `export function say_hello`, is `say_hello`.
    const ownName = key === 'default' || key === last ? [] : [key];
    of(file, () => {
      catalogue.add(kind as StepKind, [...parts, ...ownName].join('.'), value as ProcessStep | StepFunction);
    });
  }
}

/** Says in which file it is what the work cannot take. */
function of(file: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof InvalidArgumentError) throw new ModuleLoadError(file, { cause: error });
    throw error;
  }
}
