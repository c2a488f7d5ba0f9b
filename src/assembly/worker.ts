import { BrokerSubscriber } from '../broker/subscriber.ts';
import { BrokerTopology } from '../broker/topology.ts';
import { InstanceSweeper } from '../process/sweeper.ts';
import { taskTopologySpec, workerOptions } from '../settings/parts.ts';
import { TaskRegistry } from '../task/registry.ts';
import { Worker, type WorkerParts } from '../task/worker.ts';
import { isSource, ownFile } from '../util/own-files.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';
import { waitingSource, workerReadings } from './readings.ts';

export interface WorkerProject {
  /** Absolute: the files that define the tasks. Each task's process loads them. */
  readonly files: readonly string[];
  /** Gets what the tasks print. @default nothing */
  readonly onOutput?: WorkerParts['onOutput'];
}

/** What a task's process runs; it is never imported here. */
function processArguments(): readonly string[] {
  const file = ownFile('src/cli/task-process');
  return isSource() ? ['--import', 'tsx', file] : [file];
}

/**
 * Every task's process gets them, whatever its `env` says: it shall not serve the folder itself, nor wait until it knows
 * that another does, whose process it cannot see from a PID namespace of its own.
 */
function embeddedUrls({ embedded: { broker, database } }: Assembly): Record<string, string> {
  return {
    ...(broker?.state === 'running' ? { SVC_COMM_BROKER_URL: broker.url } : {}),
    ...(database?.state === 'running' ? { SVC_COMM_DATABASE_URL: database.url } : {}),
  };
}

/** What `svc-comm runworker` runs. */
export function assembleWorker(assembly: Assembly, { files, onOutput }: WorkerProject): Assembled<Worker> {
  const { settings, logger, taskRegistry, processRegistry } = assembly;
  const registry = new TaskRegistry([taskRegistry, processRegistry]);
  assembly.databaseUrl();
  const consuming = assembly.connection('worker');
  const topology = new BrokerTopology({ connection: consuming, declare: settings.declare, logger });
  const topologySpec = taskTopologySpec(settings);
  const ensureTopology = () => topology.ensure(topologySpec);
  const main = new Worker({
    nodeArguments: processArguments(),
    variables: () => embeddedUrls(assembly),
    load: { root: settings.root, files },
    ...(onOutput ? { onOutput } : {}),
    registry,
    connect: (name, settings) => assembly.connect(name, settings),
    subscriber: new BrokerSubscriber({ connection: consuming, ensureTopology, logger }),
    topology,
    topologySpec,
    schema: settings.schema,
    telemetry: assembly.telemetry,
    logger,
    wait: settings.wait,
    listen: true,
    options: workerOptions(settings),
  });
  const services = [consuming, instanceSweeper(assembly), main];
  const metrics = { counts: () => workerReadings(main.stats), source: waitingSource(assembly, main) };
  return { main, services, isReady: () => main.isReady, metrics };
}

/** Servers of instances die, and a worker may be all that is left. */
function instanceSweeper(assembly: Assembly): InstanceSweeper {
  const { settings, logger, processRegistry } = assembly;
  const { leaseMs, retentionMs } = settings.instances;
  return new InstanceSweeper({
    withDatabase: async (work) => {
      if (processRegistry.definitions.length > 0) await assembly.withConnection('processes', work);
    },
    schema: settings.schema,
    everyMs: leaseMs,
    retentionMs,
    logger,
  });
}
