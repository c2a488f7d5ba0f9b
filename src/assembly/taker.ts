import { BrokerSubscriber } from '../broker/subscriber.ts';
import { BrokerTopology } from '../broker/topology.ts';
import type { TakeOneOptions } from '../consumer/take-one.ts';
import type { Service } from '../lifecycle/service.ts';
import { consumeOptions, liveTopologySpec } from '../settings/parts.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

export type Taker = Assembled<Service> & {
  /** @param queue the one to take from; its retry and dead queues are named after it */
  optionsFor(queue: string): TakeOneOptions;
  /** Declares what a consumer of the service's own queue would, by the setting `declare`. */
  declare(): Promise<void>;
};

/** What `takeOne` runs on: two connections for all queues, since each message has a channel of its own. */
export function assembleTaker(assembly: Assembly): Taker {
  const { settings, logger, messageRouter } = assembly;
  const consuming = assembly.connection('take');
  const publishing = assembly.connection('publish');
  const publisher = assembly.publisher(publishing);
  const topology = new BrokerTopology({ connection: consuming, declare: settings.declare, logger });
  const spec = liveTopologySpec(settings, () => messageRouter.bindings());
  const common: Omit<TakeOneOptions, 'topologySpec'> = {
    subscriber: new BrokerSubscriber({ connection: consuming, logger }),
    publisher,
    topology,
    appId: settings.appId,
    ...assembly.databaseParts(),
    startMarks: assembly.startMarks(),
    telemetry: assembly.telemetry,
    logger,
    clock: assembly.clock(),
    options: consumeOptions(settings),
  };
  const database = [...assembly.poolServices(), ...assembly.clockServices()];
  let declared: { readonly what: string; readonly done: Promise<void> } | undefined;
  return {
    main: consuming,
    services: [...database, publishing, publisher, consuming],
    optionsFor: (queue) => {
      if (queue === settings.queue.name) return { ...common, topologySpec: spec };
      const { retryDelaysMs } = spec;
      const beside = { exchanges: [], binds: [], queue: { ...settings.queue, name: queue }, retryDelaysMs };
      return { ...common, topologySpec: { ...beside, isQueueForeign: true } };
    },
    declare: async () => {
      // Consumers that were registered since have bindings of their own.
      const what = JSON.stringify(spec.binds);
      if (declared?.what !== what) declared = { what, done: topology.ensure(spec) };
      const mine = declared;
      await mine.done.catch((error: unknown) => {
        if (declared === mine) declared = undefined;
        throw error;
      });
    },
  };
}
