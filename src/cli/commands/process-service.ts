import { userInfo } from 'node:os';
import type { ProcessDescription } from '../../process/description.ts';
import type { ProcessInstance } from '../../process/instance.ts';
import type { Processes } from '../../process/processes.ts';
import type { ProcessRegistry } from '../../process/registry.ts';
import type { CommandContext } from '../context.ts';
import { PATIENCE } from '../patience.ts';
import { printable } from '../printable.ts';

/** What the project's processes tell of themselves; connects to nothing. */
export async function describeProcesses(context: CommandContext): Promise<readonly ProcessDescription[]> {
  const settings = await context.loadSettings();
  const { loadTasks } = await import('../tasks.ts');
  return (await loadTasks(settings, { preferSources: false })).processRegistry.descriptions;
}

/**
 * Gives what creates instances of the project's processes, and closes what it needed.
 * @param check looks at the project's processes before anything connects
 */
export async function withProcesses(
  context: CommandContext,
  work: (processes: Processes) => Promise<0 | 1>,
  check: (registry: ProcessRegistry) => unknown = () => undefined,
): Promise<0 | 1> {
  const settings = await context.loadSettings(PATIENCE);
  const level = context.options.logLevel ?? 'warn';
  const logger = await context.createLogger('cli', { ...settings, logLevel: level });
  const { createService } = await import('../../assemble.ts');
  const { useAsDefault } = await import('../../default-service.ts');
  const { closeSoon } = await import('../run-service.ts');
  const { loadTasks } = await import('../tasks.ts');
  const service = createService(settings, { logger });
  useAsDefault(service);
  try {
    check((await loadTasks(settings, { preferSources: false })).processRegistry);
    return await work(await service.processes());
  } finally {
    await closeSoon(() => service.close());
  }
}

/** Who runs the command, for the rows. */
export function operator(): string {
  try {
    return `cli ${userInfo().username}`;
  } catch {
    return 'cli';
  }
}

/** An instance for people. */
export function instanceText({ id, process, state, createdAt, finishedAt, input, tasks }: ProcessInstance): string {
  const lines = [
    `${'process'.padEnd(10)} ${process} ${id}`,
    `${'state'.padEnd(10)} ${state}`,
    `${'created'.padEnd(10)} ${createdAt.toISOString()}`,
    ...(finishedAt ? [`${'finished'.padEnd(10)} ${finishedAt.toISOString()}`] : []),
    `${'input'.padEnd(10)} ${JSON.stringify(input)}`,
    ...tasks.map(({ name, kind, status, result, error, dueAt }) => {
      const due = dueAt && status === 'PENDING' ? ` due ${dueAt.toISOString()}` : '';
      const what = error
        ? ` ${error.name}: ${error.message}`
        : result === undefined
          ? ''
          : ` ${JSON.stringify(result)}`;
      return `${kind.padEnd(10)} ${name} ${status}${due}${what}`;
    }),
  ];
  return lines.map(printable).join('\n');
}
