import type { CoreServices } from '../process/core/services.ts';
import { Processes } from '../process/processes.ts';
import type { Tasks } from '../task/tasks.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

/** What creates instances of processes. @param tasks submits their asynchronous tasks; it is started before */
export function assembleProcesses(
  assembly: Assembly,
  tasks: Tasks,
  services: () => Promise<CoreServices>,
): Assembled<Processes> {
  const { settings, logger, processRegistry: registry } = assembly;
  const main = new Processes({
    registry,
    tasks,
    transactions: assembly.transactions(),
    connect: (name) => assembly.connect(name),
    schema: settings.schema,
    leaseMs: settings.instances.leaseMs,
    retentionMs: settings.instances.retentionMs,
    logger,
    wait: settings.wait,
    services,
    telemetry: assembly.telemetry,
  });
  return { main, services: [...assembly.poolServices(), main] };
}
