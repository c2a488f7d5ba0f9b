import { taskQueueName } from '../settings/parts.ts';
import { Tasks } from '../task/tasks.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

/** What submits tasks and tells of them. */
export function assembleTasks(assembly: Assembly): Assembled<Tasks> {
  const { settings, logger } = assembly;
  assembly.databaseUrl();
  const main = new Tasks({
    registry: assembly.taskRegistry,
    connect: (name) => assembly.connect(name),
    transactions: assembly.transactions(),
    schema: settings.schema,
    queue: taskQueueName(settings),
    pollMs: settings.worker.pollMs,
    logger,
    wait: settings.wait,
  });
  return { main, services: [main] };
}
