import { EMPTY_OFFER, type Offer, type ProcessBrief, type TaskBrief } from '../discovery/description.ts';
import type { RoleReport } from '../discovery/presence.ts';
import { contractRegistry } from '../message/contract-registry.ts';
import type { ProcessDescription } from '../process/description.ts';
import { messageCatalogue } from '../router/message-catalogue.ts';
import { argumentsSchema } from '../task/arguments-schema.ts';
import type { Worker } from '../task/worker.ts';
import type { Assembly } from './assembly.ts';
import type { AssembledConsumer } from './consumer.ts';

/** What each role tells other services of itself. */

/** @param spec what the queue was bound to at the start: what is registered later is brought nothing, though it is there */
export function consumerReport(
  { messageRouter: router }: Assembly,
  { main, spec }: Pick<AssembledConsumer, 'main' | 'spec'>,
): RoleReport {
  return {
    role: 'consumer',
    isWorking: () => main.isReady,
    stamp() {
      const binds = spec.binds.map(({ exchange, pattern }) => `${exchange} ${pattern}`);
      return `${router.routes.length} ${sentStamp()} ${binds.join()}`;
    },
    offer() {
      const { consumed, sent } = messageCatalogue(router);
      const consumes = consumed.map(({ file: _, ...one }) => one);
      return { ...EMPTY_OFFER, binds: spec.binds, consumes, publishes: sent };
    },
  };
}

/** Its process loads nothing of the project: what it publishes is not known to it. */
export const publisherReport = (): RoleReport => ({
  role: 'publisher',
  isWorking: () => true,
  stamp: () => '',
  offer: () => EMPTY_OFFER,
});

export const workerReport = (assembly: Assembly, worker: Worker): RoleReport => ({
  role: 'worker',
  isWorking: () => worker.isReady,
  ...working(assembly),
});

export const serverReport = (assembly: Assembly): RoleReport => ({
  role: 'server',
  isWorking: () => true,
  ...working(assembly),
});

export const appReport = (assembly: Assembly): RoleReport => ({
  role: 'app',
  isWorking: () => true,
  stamp: sentStamp,
  offer: () => sending(assembly),
});

/** Of those that know the project's tasks and processes. */
const working = (assembly: Assembly): Pick<RoleReport, 'stamp' | 'offer'> => ({
  stamp() {
    const { definitions } = assembly.taskRegistry;
    return `${definitions.length} ${assembly.processRegistry.definitions.length} ${sentStamp()}`;
  },
  offer: () => ({
    ...sending(assembly),
    tasks: tasksOf(assembly),
    processes: assembly.processRegistry.descriptions.map(brief),
  }),
});

const brief = ({ id, name, description, tags, input }: ProcessDescription): ProcessBrief => ({
  id,
  name,
  description,
  tags,
  input,
});

const sending = ({ messageRouter }: Assembly): Offer => ({
  ...EMPTY_OFFER,
  publishes: messageCatalogue(messageRouter).sent,
});

const tasksOf = ({ taskRegistry }: Assembly): TaskBrief[] =>
  taskRegistry.definitions.map((definition) => {
    const { name, description } = definition;
    return { name, description, input: argumentsSchema(definition) };
  });

/** Changes with each contract that is made, and each that is sent for the first time. */
function sentStamp(): string {
  const { all } = contractRegistry;
  return `${all.length} ${all.filter((contract) => contractRegistry.isSent(contract)).length}`;
}
