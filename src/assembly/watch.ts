import { exchangeWatch } from '../broker/exchange-watch.ts';
import type { Service } from '../lifecycle/service.ts';
import type { WatchOptions } from '../message/watched.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

/** What `svc-comm watch` runs. */
export function assembleWatch(assembly: Assembly, options: WatchOptions): Assembled<Service> {
  const connection = assembly.connection('watch');
  const main = exchangeWatch(connection, options, assembly.logger);
  return { main, services: [connection, main] };
}
