import { BrokerSubscriber } from '../broker/subscriber.ts';
import { BrokerTopology } from '../broker/topology.ts';
import { Consumer } from '../consumer/consumer.ts';
import { InboxRetention } from '../database/inbox-retention.ts';
import type { Service } from '../lifecycle/service.ts';
import type { TopologySpec } from '../message/topology.ts';
import { oldestWaitingMs } from '../outbox/sql/oldest-waiting.ts';
import { consumeOptions, startedTopologySpec } from '../settings/parts.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';
import { consumerReadings, queueSource } from './readings.ts';
import { registrations } from './registrations.ts';

export interface AssembledConsumer extends Assembled<Consumer> {
  /** What its queue was bound to at the last start. */
  readonly spec: TopologySpec;
}

/** What `svc-comm runconsumer` runs. */
export function assembleConsumer(assembly: Assembly): AssembledConsumer {
  const { settings, logger, messageRouter: router } = assembly;
  const consuming = assembly.connection('consume');
  const publishing = assembly.connection('publish');
  const publisher = assembly.publisher(publishing);
  const topology = new BrokerTopology({ connection: consuming, declare: settings.declare, logger });
  const spec = startedTopologySpec(settings, () => router.bindings());
  const ensureTopology = () => topology.ensure(spec);
  const rebind = () => topology.rebind(spec);
  const main = new Consumer({
    subscriber: new BrokerSubscriber({ connection: consuming, ensureTopology, rebind, stall: settings.stall, logger }),
    publisher,
    topology,
    topologySpec: spec,
    router,
    appId: settings.appId,
    ...assembly.databaseParts(),
    startMarks: assembly.startMarks(),
    telemetry: assembly.telemetry,
    logger,
    clock: assembly.clock(),
    options: consumeOptions(settings),
  });
  const database = [...assembly.poolServices(), ...retention(assembly), ...assembly.clockServices()];
  const services = [registrations(router, spec, logger), ...database, publishing, publisher, consuming, main];
  const metrics = {
    counts: () => consumerReadings(settings.queue.name, main.stats),
    source: queueSource(spec, consuming),
  };
  return { main, services, isReady: () => main.isReady, metrics, spec };
}

function retention(assembly: Assembly): Service[] {
  const { inbox, databaseUrl, schema } = assembly.settings;
  const { retentionMs } = inbox;
  const oldest = () => assembly.withConnection('retention', (connection) => oldestWaitingMs(connection, schema));
  const isCompared = inbox.enabled && databaseUrl !== undefined;
  const stores = [...(assembly.hasDatabase ? [assembly.inboxStore()] : []), assembly.startMarks()];
  const { logger } = assembly;
  return [new InboxRetention({ stores, retentionMs, oldestWaitingMs: isCompared ? oldest : undefined, logger })];
}
