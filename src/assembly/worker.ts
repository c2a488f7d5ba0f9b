import { BrokerSubscriber } from '../broker/subscriber.ts';
import { BrokerTopology } from '../broker/topology.ts';
import { taskTopologySpec, workerOptions } from '../settings/parts.ts';
import { Worker, type WorkerParts } from '../task/worker.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

/** What a worker's processes are started with; the command line knows. */
export type WorkerProject = Pick<WorkerParts, 'nodeArguments' | 'load' | 'onOutput'>;

/** What `svc-comm runworker` runs. */
export function assembleWorker(assembly: Assembly, project: WorkerProject): Assembled<Worker> {
  const { settings, logger, taskRegistry: registry } = assembly;
  assembly.databaseUrl();
  const consuming = assembly.connection('worker');
  const topology = new BrokerTopology({ connection: consuming, declare: settings.declare, logger });
  const topologySpec = taskTopologySpec(settings);
  const ensureTopology = () => topology.ensure(topologySpec);
  const main = new Worker({
    ...project,
    registry,
    connect: (name) => assembly.connect(name),
    subscriber: new BrokerSubscriber({ connection: consuming, ensureTopology, logger }),
    topology,
    topologySpec,
    schema: settings.schema,
    logger,
    wait: settings.wait,
    listen: true,
    options: workerOptions(settings),
  });
  return { main, services: [consuming, main] };
}
