import { BrokerQueueReader } from '../broker/queue-reader.ts';
import { DeadLetters } from '../dead-letters/dead-letters.ts';
import type { Service } from '../lifecycle/service.ts';
import type { Assembled } from './assembled.ts';
import type { Assembly } from './assembly.ts';

export type DeadLettersRole = Assembled<Service> & { readonly deadLetters: DeadLetters };

/** What `svc-comm dlq` runs on. */
export function assembleDeadLetters(assembly: Assembly): DeadLettersRole {
  const { settings } = assembly;
  const reading = assembly.connection('dead letters');
  const publishing = assembly.connection('publish');
  const publisher = assembly.publisher(publishing);
  const deadLetters = new DeadLetters({
    reader: new BrokerQueueReader(reading),
    publisher,
    parking: assembly.hasDatabase ? assembly.inboxStore() : undefined,
    queue: settings.queue.name,
    retentionMs: assembly.hasDatabase ? settings.inbox.retentionMs : undefined,
    keepsKeyOrder: settings.retry.keyed === 'park',
  });
  return { main: reading, services: [...assembly.poolServices(), publishing, publisher, reading], deadLetters };
}
